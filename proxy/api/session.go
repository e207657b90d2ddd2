package api

import "time"

// Filter selects sessions. Empty fields select all.
type Filter struct {
	ID      uint64 // of a session; 0: any
	Client  string // an address or a prefix
	User    string // exactly
	Service string
}

// Session is an element of GET /api/v1/sessions: a control connection, by age.
type Session struct {
	ID         uint64    `json:"id"`
	Service    string    `json:"service"`
	Client     string    `json:"client"`
	User       string    `json:"user"`       // who has logged in, or tries to; "": nobody
	Gateway    string    `json:"gateway"`    // what the client dialled
	Backend    string    `json:"backend"`    // "": not connected yet
	Protection string    `json:"protection"` // clear, tls, pass (TLS that is not ours)
	Phase      string    `json:"phase"`      // greeting, login, open, opaque, client_gone, over
	Doing      string    `json:"doing"`      // in words: "RETR /pub/big.iso", "idle", "logging in"
	Began      time.Time `json:"began"`
	Idle       float64   `json:"idle"`      // since the last line of either side
	Transfers  []Running `json:"transfers"` // that run
	Done       uint64    `json:"transfers_done"`
	Failed     uint64    `json:"transfers_failed"`
	ToClient   uint64    `json:"bytes_to_client"`
	ToServer   uint64    `json:"bytes_to_server"`
	Busy       bool      `json:"busy"` // waits for a peer to take what it was sent: what it does may be old
}

// Running is a transfer without its final reply.
type Running struct {
	ID        string    `json:"id"` // session.number, as explain takes it
	Verb      string    `json:"verb"`
	Path      string    `json:"path"`
	Direction string    `json:"direction"` // download, upload, listing
	Mode      string    `json:"mode"`      // PASV, EPSV, PORT, EPRT; "": not known yet
	Began     time.Time `json:"began"`
	Connected bool      `json:"connected"` // its data connection has come
	Relayed   bool      `json:"relayed"`
	Bytes     uint64    `json:"bytes"` // so far, as last looked at
	Rate      float64   `json:"rate"`  // bytes per second, lately
}

// Pinhole is an element of GET /api/v1/pinholes: one that a session holds.
type Pinhole struct {
	Session   uint64    `json:"session"`
	Service   string    `json:"service"`
	Mode      string    `json:"mode"` // PASV, EPSV, PORT, EPRT, AUTH
	From      string    `json:"from"` // who may dial: an address or a prefix
	At        string    `json:"at"`   // what it dials
	To        string    `json:"to"`   // where that leads
	Relayed   bool      `json:"relayed"`
	Opened    time.Time `json:"opened"`
	Used      bool      `json:"used"`      // its connection has come, so nobody else can
	Remaining float64   `json:"remaining"` // until the kernel closes it; 0: used
}

// Line is one line of a control connection, redacted.
type Line struct {
	Time time.Time `json:"time"`
	From string    `json:"from"` // client, server, gateway (who answered by itself)
	Text string    `json:"text"`
	Sent string    `json:"sent"` // what went on to the other side, where that differs: a rewritten line, or "[not passed on]"
}

// Traced is an element of the stream GET /api/v1/trace: one JSON object a line.
type Traced struct {
	Session uint64 `json:"session"`
	Service string `json:"service"`
	Client  string `json:"client"`
	Event   string `json:"event"` // line, begin, end (text: its result), refused (a client got no session), dropped (text: how many events were lost)
	Line
}
