package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ftpgate/proxy/api"
)

// errBad is a request that cannot be understood.
var errBad = errors.New("bad request")

func badf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errBad}, args...)...)
}

// query are the parameters of a request: each known, each at most once.
type query map[string]string

func parseQuery(raw string, known []string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badf("%v", err)
	}
	q := query{}
	for name, v := range values {
		if !slices.Contains(known, name) {
			return nil, badf("no parameter %q here; known: %s", name, listed(known))
		}
		if len(v) > 1 {
			return nil, badf("%s is given %d times", name, len(v))
		}
		q[name] = v[0]
	}
	return q, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// filter reads what selects sessions. An empty parameter selects all.
func (q query) filter() (api.Filter, error) {
	f := api.Filter{User: q["user"], Service: q["service"]}
	if id := q["id"]; id != "" {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil || n == 0 {
			return f, badf("id %q is not the number of a session", id)
		}
		f.ID = n
	}
	if q["client"] != "" {
		p, err := q.prefix("client")
		if err != nil {
			return f, err
		}
		f.Client = p.String()
		if p.IsSingleIP() {
			f.Client = p.Addr().String()
		}
	}
	return f, nil
}

// prefix reads an address or a prefix.
func (q query) prefix(name string) (netip.Prefix, error) {
	p, err := api.Clients(q[name])
	if err != nil {
		return p, badf("%s %v", name, err)
	}
	return p, nil
}

// address reads an address.
func (q query) address(name string) (netip.Addr, error) {
	a, err := netip.ParseAddr(q[name])
	if err != nil || a.Zone() != "" {
		return a, badf("%s %q is not an address (198.51.100.7)", name, q[name])
	}
	return a.Unmap(), nil
}

// checkID checks the id of a transfer, or of a session for its latest one.
func checkID(id string) error {
	for part := range strings.SplitSeq(id, ".") {
		if n, err := strconv.ParseUint(part, 10, 64); err != nil || n == 0 {
			return badf("%q is not the id of a transfer (42.3) or of a session (42)", id)
		}
	}
	if strings.Count(id, ".") > 1 {
		return badf("%q is not the id of a transfer (42.3) or of a session (42)", id)
	}
	return nil
}
