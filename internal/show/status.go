package show

import (
	"fmt"
	"strconv"
	"strings"

	"ftpgate/proxy/api"
)

// Status shows the daemon as a whole.
func Status(s Screen, st api.Status) error {
	p := s.page()
	p.line("ftpgate ", st.Version, ", up ", Span(st.Now.Sub(st.Started)), ": ", state(st))
	for _, why := range st.NotReady {
		p.line("  ", why)
	}
	p.line("configuration  ", st.Config, ", loaded ", p.ago(st.ConfigLoaded))
	owned := "owned: nobody else can flush it"
	if !st.TableOwned {
		owned = "not owned: a flush by others removes it until it is put back"
	}
	p.line("nftables       inet ", st.Table, ", ", owned)
	p.line("sessions       ", fmt.Sprintf("%d of %d", st.Sessions, st.SessionsLimit))
	p.line("transfers      ", strconv.Itoa(st.Transfers), " running", relayed(st.Relays))
	p.line("pinholes       ", strconv.Itoa(st.Pinholes), " open and unused")
	failures := "none known"
	if st.Failures > 0 {
		failures = fmt.Sprintf("%d known (ftpgate failures)", st.Failures)
	}
	p.line("failures       ", failures)
	p.line()
	services(st.Services).write(p)
	return p.flush()
}

func state(st api.Status) string {
	switch {
	case st.Draining:
		return "draining: new sessions are refused (ftpgate undrain lets them in)"
	case st.Ready:
		return "ready"
	}
	return "not ready"
}

func relayed(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %s carried by the process itself", count(n, "data connection"))
}

func services(list []api.Service) *table {
	t := &table{head: []string{"SERVICE", "MODE", "TLS", ">SESSIONS", ">RUNNING", ">PINHOLES", ">DONE", ">FAILED", ">TO CLIENTS", ">TO SERVERS", "LISTEN", "BACKENDS"}}
	for _, v := range list {
		backends := make([]string, len(v.Backends))
		for i, b := range v.Backends {
			backends[i] = b.Address
			if !b.Up {
				backends[i] += " (down)"
			}
		}
		leads := strings.Join(backends, ", ")
		if len(backends) == 0 {
			leads = "any"
		}
		t.add(v.Name, v.Mode, v.TLS, number(v.Sessions), number(v.Transfers), number(v.Pinholes),
			number(v.Done), number(v.Failed), Size(v.ToClients), Size(v.ToServers),
			strings.Join(v.Listen, ", "), leads)
	}
	return t
}
