package api

import "time"

// Status is GET /api/v1/status: the daemon as a whole.
type Status struct {
	Version       string    `json:"version"`
	Now           time.Time `json:"now"`
	Started       time.Time `json:"started"`
	Config        string    `json:"config"`        // path of the configuration file
	ConfigLoaded  time.Time `json:"config_loaded"` // when what is in force was loaded
	Table         string    `json:"table"`         // of nftables, family inet
	TableOwned    bool      `json:"table_owned"`   // nobody else can flush it
	Draining      bool      `json:"draining"`      // new sessions are refused
	Ready         bool      `json:"ready"`
	NotReady      []string  `json:"not_ready"` // why, in words
	Sessions      int       `json:"sessions"`
	SessionsLimit int       `json:"sessions_limit"`
	Transfers     int       `json:"transfers"` // that run
	Pinholes      int       `json:"pinholes"`  // that are open and unused
	Relays        int       `json:"relays"`    // data connections that the process carries itself
	Failures      int       `json:"failures"`  // failed transfers that explain knows
	Services      []Service `json:"services"`
}

// Service is one [[service]] of the configuration.
type Service struct {
	Name      string    `json:"name"`
	Mode      string    `json:"mode"` // reverse, forward
	TLS       string    `json:"tls"`  // refuse, pass, terminate
	Listen    []string  `json:"listen"`
	Backends  []Backend `json:"backends"`
	Sessions  int       `json:"sessions"`
	Transfers int       `json:"transfers"` // that run
	Pinholes  int       `json:"pinholes"`
	Done      uint64    `json:"transfers_done"` // since the daemon started
	Failed    uint64    `json:"transfers_failed"`
	ToClients uint64    `json:"bytes_to_clients"` // since the daemon started
	ToServers uint64    `json:"bytes_to_servers"`
}

// Backend is a server of a service.
type Backend struct {
	Address string `json:"address"`
	Up      bool   `json:"up"` // the last connection to it succeeded
}

// Sample is an element of GET /api/v1/throughput, the oldest first: what went
// through data connections, over the last minutes.
type Sample struct {
	Time      time.Time `json:"time"`       // its end
	ToClients float64   `json:"to_clients"` // bytes per second
	ToServers float64   `json:"to_servers"`
	Sessions  int       `json:"sessions"`
	Transfers int       `json:"transfers"`
}
