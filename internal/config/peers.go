package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// widestV4 and widestV6 bound who may dial the pinhole of another client: what
// one operator has, not a part of the world.
const (
	widestV4 = 8
	widestV6 = 32
)

var peersForm = regexp.MustCompile(`^/([0-9]{1,3})(?:,/([0-9]{1,3}))?$`)

// dataPeer reads exact, the length of a prefix of either family, or /V4,/V6. Of
// one length alone, only what no IPv4 address has is for IPv6.
func dataPeer(v any) (proxy.PeerBits, error) {
	s, err := text(v)
	if err != nil || s == "exact" {
		return proxy.PeerBits{}, err
	}
	m := peersForm.FindStringSubmatch(s)
	if m == nil {
		return proxy.PeerBits{}, fmt.Errorf(`%s is not one of the values: write "exact", "/24" for IPv4 clients, "/64" for IPv6 clients, or "/24,/64"`, describe(s))
	}
	first, _ := strconv.Atoi(m[1]) // digits, and few
	second, _ := strconv.Atoi(m[2])
	v4, v6 := first, second
	if m[2] == "" {
		v4, v6 = 32, 128
		if first > 32 {
			v6 = first
		} else {
			v4 = first
		}
	}
	switch {
	case v4 < widestV4 || v4 > 32:
		return proxy.PeerBits{}, fmt.Errorf("%q has /%d for IPv4 clients: write /%d to /32", s, v4, widestV4)
	case v6 < widestV6 || v6 > 128:
		return proxy.PeerBits{}, fmt.Errorf("%q has /%d for IPv6 clients: write /%d to /128", s, v6, widestV6)
	}
	return proxy.PeerBits{V4: v4 % 32, V6: v6 % 128}, nil // 0: the exact address
}

// checkPeers: what is widened is dialled by somebody.
func (r *reader) checkPeers(s proxy.Service, at string) {
	bits := s.PeerBits
	v4, v6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if bits == (proxy.PeerBits{}) || bits.V4 > 0 && hasFamily(s.Listen, v4) || bits.V6 > 0 && hasFamily(s.Listen, v6) || r.failed(dot(at, "listen")) {
		return
	}
	key, lacks := dot(at, "data_peer"), v4
	if bits.V4 == 0 {
		lacks = v6
	}
	r.report(key, key, fmt.Sprintf(`widens nothing: it is for %s clients, and listen has no %[1]s address; write "exact"`, familyOf(lacks)))
}

// checkSource: what a server gets from this host's own address contradicts
// source = "client".
func (r *reader) checkSource(s proxy.Service, at string) {
	if !s.FromClient {
		return
	}
	key := dot(at, "source")
	contradicts := func(what, why string) {
		r.report(key, key, fmt.Sprintf(`"client" contradicts %s, %s`, what, why))
	}
	if s.SourceAddress.IsValid() {
		contradicts("source_address", "an address of this host: leave one of them out")
	}
	const relayed = `since this program carries such data and dials from its own address: write "gateway", or `
	if s.Mode == proxy.Reverse && s.Data == proxy.DataRelay {
		contradicts(`data = "relay"`, relayed+`data = "auto"`)
	}
	if s.Mode == proxy.Reverse && s.TLS.Mode == alg.TerminateTLS && !r.failed(dot(at, "tls.mode")) {
		contradicts(`tls.mode = "terminate"`, relayed+`tls.mode = "pass" or "refuse"`)
	}
	if encrypted(s.BackendTLS) {
		contradicts(fmt.Sprintf("backend_tls.mode = %q", s.BackendTLS.Mode), relayed+`backend_tls.mode = "clear"`)
	}
	for j, b := range s.Backends {
		if b.Addr().IsLoopback() {
			here := dot(at, element("backends", j))
			r.report(here, here, fmt.Sprintf(`%q is on loopback, where no address of a client can be seen: write source = "gateway", or have the server listen on another address of this host`, b))
		}
	}
	if active := dot(at, "active_ports"); r.given[active] && !r.failed(active) {
		r.report(active, active, `does nothing with source = "client": the server dials the client's own port; leave it out`)
	}
}
