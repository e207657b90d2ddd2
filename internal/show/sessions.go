package show

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"ftpgate/proxy/api"
)

// Sessions shows control connections: who transfers first, then who said
// something last.
func Sessions(s Screen, list []api.Session) error {
	p := s.page()
	if len(list) == 0 {
		p.line("no sessions")
		return p.flush()
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b api.Session) int {
		return cmp.Or(-cmp.Compare(speed(a), speed(b)), -cmp.Compare(len(a.Transfers), len(b.Transfers)), cmp.Compare(a.Idle, b.Idle))
	})
	t := &table{head: []string{">ID", "CLIENT", "USER", "SERVICE", "TLS", ">AGE", ">IDLE", ">FAILED", ">BYTES", "DOING"}}
	for _, v := range list {
		t.add(strconv.FormatUint(v.ID, 10), host(v.Client), v.User, v.Service, v.Protection,
			Span(p.Now.Sub(v.Began)), seconds(v.Idle), number(v.Failed), Size(v.ToClient+v.ToServer), doing(v))
	}
	t.write(p)
	return p.flush()
}

func speed(v api.Session) float64 {
	sum := 0.0
	for _, r := range v.Transfers {
		sum += r.Rate
	}
	return sum
}

// doing says of each transfer that runs what it is and how far.
func doing(v api.Session) string {
	if len(v.Transfers) == 0 {
		return v.Doing
	}
	runs := make([]string, len(v.Transfers))
	for i, r := range v.Transfers {
		runs[i] = strings.TrimSpace(r.Verb+" "+r.Path) + ": " + Size(r.Bytes) + ", " + rate(r.Rate)
		if !r.Connected {
			runs[i] = strings.TrimSpace(r.Verb+" "+r.Path) + ": waits for its data connection"
		}
	}
	return strings.Join(runs, "; ")
}
