package config

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// tlsModes are the words for what becomes of AUTH.
var tlsModes = []string{alg.RefuseTLS: "refuse", alg.PassTLS: "pass", alg.TerminateTLS: "terminate"}

func tlsMode(v any) (alg.TLS, error) {
	s, err := oneOf(tlsModes...)(v)
	if err != nil {
		return alg.RefuseTLS, err
	}
	return alg.TLS(slices.Index(tlsModes, s)), nil
}

func backendTLSMode(v any) (proxy.BackendTLSMode, error) {
	s, err := oneOf(string(proxy.BackendClear), string(proxy.BackendExplicit), string(proxy.BackendImplicit))(v)
	return proxy.BackendTLSMode(s), err
}

func dataPath(v any) (proxy.DataPath, error) {
	s, err := oneOf(string(proxy.DataAuto), string(proxy.DataKernel), string(proxy.DataRelay))(v)
	return proxy.DataPath(s), err
}

func tlsVersion(v any) (uint16, error) {
	s, err := oneOf("1.2", "1.3")(v)
	if s == "1.3" {
		return tls.VersionTLS13, err
	}
	return tls.VersionTLS12, err
}

func pemFile(v any) (string, error) { return filePath("/etc/ftpgate/files.pem")(v) }

// Names of hosts; the last label has a letter, or it is a mistyped address.
var (
	hostForm  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	lastLabel = regexp.MustCompile(`[A-Za-z_][^.]*$`)
)

// isHost tells the name of a host from a mistyped address, and from anything else.
func isHost(s string) bool {
	return len(s) <= 253 && hostForm.MatchString(s) && lastLabel.MatchString(s)
}

// serverName is what a backend's certificate must name: a host or an address.
func serverName(v any) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return s, usable(a)
	}
	if !isHost(s) {
		return "", fmt.Errorf(`%s is not the name of a host: write it as the certificate has it, e.g. "ftp.example.com", or an address`, describe(s))
	}
	return s, nil
}

// maxPassPorts bounds what the kernel's table must hold for one service, and
// maxPassFlows what one client can have at once.
const (
	maxPassPorts = 4096
	maxPassFlows = 64
)

// passPorts is a range of ports that clients dial, and where it leads.
type passPorts struct {
	proxy.PortRange
	to uint16 // at the backend
}

// parsePassPorts reads FIRST-LAST, the same ports at the backend, or
// FIRST-LAST:TO, where TO is the first of them there.
func parsePassPorts(v any) (passPorts, error) {
	s, err := text(v)
	if err != nil {
		return passPorts{}, err
	}
	dialled, to, moved := strings.Cut(s, ":")
	r, err := portRange(dialled, "10000-10999")
	if err != nil {
		return passPorts{}, err
	}
	p := passPorts{r, r.First}
	if moved {
		n, err := strconv.ParseUint(to, 10, 16)
		if err != nil {
			return passPorts{}, fmt.Errorf(`%s is not a port of the backend: write FIRST-LAST:TO, e.g. "10000-10999:50000"`, describe(to))
		}
		p.to = uint16(n)
	}
	switch last := int(p.to) + r.Size() - 1; {
	case r.Size() > maxPassPorts:
		return passPorts{}, fmt.Errorf("%q has %d ports: write at most %d", s, r.Size(), maxPassPorts)
	case p.to < 1024:
		return passPorts{}, fmt.Errorf("%q leads below 1024: servers take no data there; write 1024 or more", s)
	case last > 65535:
		return passPorts{}, fmt.Errorf("%q leads to ports up to %d: write a first port of at most %d", s, last, 65536-r.Size())
	}
	return p, nil
}

// setPassPorts stores both halves of pass_ports.
func setPassPorts(p place, v value) {
	var pass passPorts
	one(optional(parsePassPorts), func(place) *passPorts { return &pass })(p, v)
	p.service.TLS.PassPorts, p.service.TLS.PassTo = pass.PortRange, pass.to
}

func passFlows(v any) (int, error) {
	n, err := count(v)
	if err == nil && (n < 1 || n > maxPassFlows) {
		err = fmt.Errorf("%d is not from 1 to %d", n, maxPassFlows)
	}
	return n, err
}

// ofTLS and ofBackend store keys of the two tables of TLS.
func ofTLS[T any](parse parser[T], field func(*proxy.TLS) *T) func(place, value) {
	return one(parse, func(p place) *T { return field(&p.service.TLS) })
}

func ofBackend[T any](parse parser[T], field func(*proxy.BackendTLS) *T) func(place, value) {
	return one(parse, func(p place) *T { return field(&p.service.BackendTLS) })
}
