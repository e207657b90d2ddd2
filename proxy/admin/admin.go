// Package admin shows the daemon to people and programs over HTTP, and lets an
// administrator act: the JSON of proxy/api under /api/v1/, and a status page.
//
//	tcp := admin.New(admin.Options{Reader: server})              // looks
//	unix := admin.NewControl(admin.Options{Reader: server}, cmd) // looks and acts
//
// Who may connect is not decided here: the socket's file mode and the
// listener's address and credentials do that. What is decided here is that a
// web page from elsewhere gets nothing: New answers only requests that were
// made to an address, to localhost or to one of Options.Hosts, and none that a
// browser says to come from another origin.
//
// Be aware: what a peer has sent (names, paths, replies) is in the JSON as it
// is but for control bytes. The page shows it as text.
package admin

import (
	"context"
	"net/http"
	"net/netip"

	"ftpgate/proxy/api"
)

// Reader is what there is to see.
type Reader interface {
	Status() api.Status
	Sessions(api.Filter) []api.Session
	Pinholes() []api.Pinhole
	Failures(api.Filter) []api.Failure                        // the latest first
	Explain(id string) (api.Explanation, error)               // "42.3", or "42": the latest of session 42
	ExplainClient(client netip.Addr) (api.Explanation, error) // its latest failure, else its running transfer
	Throughput() []api.Sample                                 // the oldest first
}

// Actor is what there is to do. UID tells of a method's context who asked.
type Actor interface {
	Kill(context.Context, api.Filter) (api.Ended, error) // the filter selects something
	Drain(ctx context.Context, on bool) (api.Drained, error)
	Reload(context.Context) error
	CloseAll(context.Context) (api.Closed, error)

	// Trace calls f with what the sessions of clients say, until ctx ends or f fails.
	Trace(ctx context.Context, client netip.Prefix, f func(api.Traced) error) error
}

// Options says what New and NewControl show.
type Options struct {
	Reader Reader
	Hosts  []string // names that requests may be made to, "*.example.net" among them; none are needed for addresses and localhost
}

// New returns what the TCP listener serves: it changes nothing.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	serveAPI(mux, looks(o.Reader))
	servePage(mux)
	return guard(o.Hosts, onlyReads(mux))
}

// NewControl returns what the admin socket serves.
func NewControl(o Options, a Actor) http.Handler {
	mux := http.NewServeMux()
	serveAPI(mux, append(looks(o.Reader), acts(a)...))
	return mux
}

type uidKey struct{}

// WithUID says who is at the other end of a connection: for the ConnContext of a server.
func WithUID(ctx context.Context, uid int) context.Context {
	return context.WithValue(ctx, uidKey{}, uid)
}

// UID returns who asked, or -1: not known.
func UID(ctx context.Context) int {
	if uid, ok := ctx.Value(uidKey{}).(int); ok {
		return uid
	}
	return -1
}
