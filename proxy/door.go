package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// door decides who gets a session. Clients are counted by address, in IPv6 by
// /64: that is what one host can pick its addresses from.
type door struct {
	mu       sync.Mutex // guards what follows
	global   Limits
	sessions int
	services map[string]int // sessions of each
	clients  map[guest]*visits
	swept    time.Time
}

// guest is a client at a service. The limits per client are the service's.
type guest struct {
	service string
	prefix  netip.Prefix
}

type visits struct {
	sessions int
	rate     *rate.Limiter // nil: no limit
}

func newDoor() *door {
	d := &door{services: map[string]int{}, clients: map[guest]*visits{}}
	d.set(Settings{})
	return d
}

func (d *door) set(s Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.global = s.Limits
	d.global.Sessions = s.sessions()
}

// limit returns how many sessions there can be at once.
func (d *door) limit() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.global.Sessions
}

// The descriptors that a session holds, those of a data connection that is
// relayed (two sockets, and two pipes to splice through), and what the daemon
// needs besides.
const (
	descriptorsPerSession = 2
	descriptorsPerRelay   = 6
	descriptorsBesides    = 64
	maxDefaultSessions    = 10000
)

// sessions returns the limit in force: what is set, or what the descriptors of
// the process allow.
func (s Settings) sessions() int {
	if s.Limits.Sessions > 0 {
		return s.Limits.Sessions
	}
	each := descriptorsPerSession
	if slices.ContainsFunc(s.Services, func(svc Service) bool { return svc.Relays() }) {
		each += descriptorsPerRelay
	}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<30 {
		return maxDefaultSessions
	}
	return min(maxDefaultSessions, max(1, (int(r.Cur)-descriptorsBesides)/each))
}

// refusal is why a client gets no session, as a metric label; "" is welcome.
type refusal string

const (
	denied         refusal = "denied"          // clients, deny_clients
	tooMany        refusal = "sessions"        // limits.sessions
	tooManyClient  refusal = "client_sessions" // limits.sessions_per_client
	tooFastClient  refusal = "client_rate"     // limits.new_per_client
	refusedDrained refusal = "draining"
	notRedirected  refusal = "not_redirected" // intercept: who dials the listener itself
	badDestination refusal = "destination"    // destinations
	unaudited      refusal = "audit"          // audit.on_error = "refuse"
)

// refusals of a connection, in the words that the client gets with its 421.
var refusalTexts = map[refusal]string{
	denied:         "421 Your address may not use this service\r\n",
	tooMany:        "421 Too many users: try again later\r\n",
	tooManyClient:  "421 Too many connections from your address\r\n",
	tooFastClient:  "421 Too many new connections from your address: try again in a minute\r\n",
	refusedDrained: "421 The gateway takes no new sessions now: try again later\r\n",
	notRedirected:  "421 Dial the FTP server itself: this gateway takes what is redirected to it\r\n",
	unaudited:      "421 The gateway cannot write its records: try again later\r\n",
	badDestination: "421 This gateway does not lead to that address\r\n",
}

// enter admits a client to a service, or says why not. Who is admitted leaves
// by leave.
func (d *door) enter(svc *service, client netip.Addr, now time.Time) refusal {
	if !svc.admits(client) {
		return denied
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := svc.Limits
	if d.sessions >= d.global.Sessions || l.Sessions > 0 && d.services[svc.Name] >= l.Sessions {
		return tooMany
	}
	v := d.visits(svc, client)
	v.limit(l.NewPerClient)
	if !contains(l.Exempt, client) {
		if l.SessionsPerClient > 0 && v.sessions >= l.SessionsPerClient {
			return tooManyClient
		}
		if v.rate != nil && !v.rate.AllowN(now, 1) {
			return tooFastClient
		}
	}
	v.sessions++
	d.sessions++
	d.services[svc.Name]++
	return ""
}

func (d *door) leave(svc *service, client netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits(svc, client).sessions-- // the limits that are in force now are not for it to say
	d.sessions--
	d.services[svc.Name]--
}

// visits returns the record of a client, a new one if need be.
func (d *door) visits(svc *service, client netip.Addr) *visits {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	prefix, _ := client.Prefix(bits) // cannot fail: bits fit the family
	g := guest{svc.Name, prefix}
	v := d.clients[g]
	if v == nil {
		v = &visits{}
		d.clients[g] = v
	}
	return v
}

// limit sets the rate of new sessions, as a reload may have changed it.
func (v *visits) limit(r Rate) {
	if r.Count == 0 {
		v.rate = nil
		return
	}
	every := rate.Every(r.Per / time.Duration(r.Count))
	if v.rate == nil || v.rate.Limit() != every || v.rate.Burst() != r.Count {
		v.rate = rate.NewLimiter(every, r.Count)
	}
}

// sweepEvery is how often clients are forgotten that have no session and no
// debt with the rate limit.
const sweepEvery = 10 * time.Second

func (d *door) tick(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) < sweepEvery {
		return
	}
	d.swept = now
	for g, v := range d.clients {
		if v.sessions == 0 && (v.rate == nil || v.rate.TokensAt(now) >= float64(v.rate.Burst())) {
			delete(d.clients, g)
		}
	}
}

// admits applies clients, or intercept.from, and deny_clients.
func (svc *service) admits(client netip.Addr) bool {
	if contains(svc.DenyClients, client) {
		return false
	}
	if svc.Mode == Forward {
		return contains(svc.Intercept.From, client)
	}
	return len(svc.Clients) == 0 || contains(svc.Clients, client)
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
