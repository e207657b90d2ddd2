package config

import (
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// Keys that do nothing unless the mode of their table asks for them. Who
// writes one believes in what it says, so it is not ignored.
var (
	terminateKeys  = []string{"certificate", "key", "client_ca", "require", "implicit", "min_version", "require_resumption"}
	passKeys       = []string{"pass_ports", "pass_flows"}
	backendTLSKeys = []string{"ca", "server_name", "certificate", "key", "min_version", "insecure_skip_verify"}
)

// checkIdle reports those of keys that are written in table.
func (r *reader) checkIdle(table string, keys []string, why string) {
	for _, k := range keys {
		if key := dot(table, k); r.given[key] && !r.failed(key) {
			r.report(key, key, why)
		}
	}
}

// checkTLS applies the rules of services[i].tls, which stands at at.
func (r *reader) checkTLS(services []proxy.Service, i int, at string) {
	s, table := services[i], dot(at, "tls")
	if r.failed(dot(table, "mode")) {
		return
	}
	idle := fmt.Sprintf("does nothing with tls.mode = %q: ", tlsModes[s.TLS.Mode])
	certificate := dot(table, "certificate")
	if s.TLS.Mode != alg.TerminateTLS {
		r.checkIdle(table, terminateKeys, idle+`leave it out, or write tls.mode = "terminate"`)
	} else if !r.given[certificate] && !r.failed(certificate) {
		r.report(certificate, certificate, `missing: tls.mode = "terminate" needs one; write the path of a PEM file, e.g. tls.certificate = "/etc/ftpgate/files.pem"`)
	}
	if s.TLS.Mode != alg.PassTLS {
		r.checkIdle(table, passKeys, idle+`leave it out, or write tls.mode = "pass"`)
		return
	}
	r.checkPassBackends(s, at)
	r.checkPassPorts(services, i, dot(table, "pass_ports"))
}

// checkPassBackends: within TLS nobody sees which backend a session has, and a
// pass port can lead to one of each family.
func (r *reader) checkPassBackends(s proxy.Service, at string) {
	for j, b := range s.Backends {
		if !b.IsValid() {
			continue
		}
		here := dot(at, element("backends", j))
		same := func(o netip.AddrPort) bool { return o.IsValid() && o.Addr().Is4() == b.Addr().Is4() }
		if slices.ContainsFunc(s.Backends[:j], same) {
			r.report(here, here, fmt.Sprintf(`%q is one more %s backend: with tls.mode = "pass" it cannot be told which of them a client dials; write one, and a [[service]] for each other`, b, family(b)))
		}
		if b.Addr().IsLoopback() && s.TLS.PassPorts.Last > 0 {
			r.report(here, here, fmt.Sprintf("%q is on loopback: the kernel carries what goes through pass_ports, and not to loopback; have the server listen on another address of this host", b))
		}
	}
}

// checkPassPorts looks for what else uses the pass ports of services[i], which
// stand at key: on them a client would be led to the wrong place. active_ports
// are for others, the servers, to dial.
func (r *reader) checkPassPorts(services []proxy.Service, i int, key string) {
	pass := services[i].TLS.PassPorts
	if pass.Last == 0 {
		return
	}
	clash := func(other string, ports proxy.PortRange) {
		if pass.First <= ports.Last && ports.First <= pass.Last {
			r.report(key, key, fmt.Sprintf("%q overlaps %s, %q: move one of them", span(pass), other, span(ports)))
		}
	}
	for oi, o := range services {
		other := element(serviceTable, oi)
		clash(dot(other, "ports"), o.Ports)
		if oi < i && o.TLS.Mode == alg.PassTLS {
			clash(dot(other, "tls.pass_ports"), o.TLS.PassPorts)
		}
		for j, l := range o.Listen {
			if pass.First <= l.Port() && l.Port() <= pass.Last {
				r.report(key, key, fmt.Sprintf("%q has the port of %s, %q: move one of them", span(pass), dot(other, element("listen", j)), l))
			}
		}
	}
}

func span(r proxy.PortRange) string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// checkBackendTLS applies the rules of [service.backend_tls].
func (r *reader) checkBackendTLS(s proxy.Service, at string) {
	table := dot(at, "backend_tls")
	mode := dot(table, "mode")
	switch t := s.BackendTLS; {
	case r.failed(mode):
	case !encrypted(t):
		r.checkIdle(table, backendTLSKeys, `does nothing with backend_tls.mode = "clear": leave it out, or write backend_tls.mode = "explicit" or "implicit"`)
	default:
		if s.TLS.Mode == alg.PassTLS {
			r.report(mode, mode, fmt.Sprintf(`%q contradicts tls.mode = "pass", where the TLS of the client goes through to the server: write "clear", or tls.mode = "terminate"`, t.Mode))
		}
		certificate, key := dot(table, "certificate"), dot(table, "key")
		if t.Key != "" && !r.given[certificate] {
			r.report(key, key, "is the key of no certificate: write backend_tls.certificate too, or leave it out")
		}
		if skip := dot(table, "insecure_skip_verify"); t.InsecureSkipVerify && t.CA != "" {
			r.report(skip, skip, "true means that backend_tls.ca is not looked at: leave one of them out")
		}
	}
}

func encrypted(t proxy.BackendTLS) bool {
	return t.Mode == proxy.BackendExplicit || t.Mode == proxy.BackendImplicit
}

// checkData: what the kernel must carry, it must be able to.
func (r *reader) checkData(s proxy.Service, at string) {
	if s.Data != proxy.DataKernel {
		return
	}
	key := dot(at, "data")
	if s.TLS.Mode == alg.TerminateTLS && s.TLS.Require {
		r.report(key, key, `"kernel" leaves no data to clients that tls.require makes encrypt it, since the TLS ends in this program: write "auto"`)
	}
	if encrypted(s.BackendTLS) {
		r.report(key, key, fmt.Sprintf(`"kernel" leaves no data to backends with backend_tls.mode = %q, since the TLS begins in this program: write "auto"`, s.BackendTLS.Mode))
	}
	for j, b := range s.Backends {
		if b.Addr().IsLoopback() {
			here := dot(at, element("backends", j))
			r.report(here, here, fmt.Sprintf(`%q is on loopback, where the kernel leads no data: write data = "auto", or have the server listen on another address of this host`, b))
		}
	}
}
