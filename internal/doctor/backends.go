package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// backendRoute asks the routing table. A route that leads astray looks like any
// other; whether the server answers is another check's.
func backendRoute(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	var errs []error
	h.each(func(svc *proxy.Service) {
		for _, b := range svc.Backends {
			_, err := routeTo(b.Addr(), svc.SourceAddress)
			switch {
			case err == nil:
				continue
			case !slices.ContainsFunc([]error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL},
				func(e error) bool { return errors.Is(err, e) }):
				errs = append(errs, fmt.Errorf("ask for the route to %v: %w", b.Addr(), err))
				continue
			}
			f := Finding{
				Severity: Error, About: b.Addr().String(), Seen: fmt.Sprintf("there is no route to %v, a backend of service %s: %v", b.Addr(), svc.Name, err),
				Why:  "neither control nor data connections can reach it",
				Edit: fmt.Sprintf("give this host an address in its network, or a route: ip route add %v via ROUTER; or correct backends", single(b.Addr())),
			}
			if svc.SourceAddress.IsValid() && h.link(svc.SourceAddress) == "" {
				f.Edit = fmt.Sprintf("no interface has source_address, %v: give one the address, or correct source_address", svc.SourceAddress)
			}
			found = append(found, f)
		}
	})
	return found, errors.Join(errs...)
}

// backends finds those with which no session could begin.
func backends(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	for _, t := range h.talks() {
		if t.err != nil {
			found = append(found, Finding{
				Severity: Error, About: t.about(), Seen: fmt.Sprintf("the backend %v of service %s %v", t.at, t.svc.Name, t.err),
				Why:  "clients that would be sent to it get 421, or the next backend",
				Edit: fmt.Sprintf("start the server, see that its firewall lets this host in, or correct backends and backend_tls; try: curl -v ftp://%v/", t.at),
			})
		}
	}
	return found, nil
}

func (t talk) about() string { return fmt.Sprintf("%s %v", t.svc.Name, t.at) }

// Replies to a data set-up before the login. RFC 959 §5.4 has 530; some servers
// would rather have TLS, or the user's name, first.
var (
	notYet   = []int{530, 503, 521, 522, 331, 332, 534, 550}
	notKnown = []int{500, 501, 502, 504, 202}
)

var (
	sixNumbers = regexp.MustCompile(`(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})`)
	onePort    = regexp.MustCompile(`\([!-/:-~]{3}(\d{1,5})[!-/:-~]\)`) // RFC 2428 §3: two fields are empty
)

// backendPASV reads what a server says to PASV.
func backendPASV(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	for _, t := range h.talks() {
		r := t.setUp
		if !t.svc.Passive || r.code == 0 || slices.Contains(notYet, r.code) || r.isSetUp() {
			continue
		}
		f := Finding{
			Severity: Error, About: t.about(), Seen: fmt.Sprintf("the backend %v of service %s answers a passive set-up with %q", t.at, t.svc.Name, r.String()),
			Why:  "its clients get 425 for every passive transfer",
			Edit: "correct the server's configuration of passive mode (pasv_enable, PassivePorts or the like); if it is meant so, write modes = [\"active\"]",
		}
		if slices.Contains(notKnown, r.code) || r.code/100 == 4 {
			f.Severity = Warning // it may be other after the login
		}
		found = append(found, f)
	}
	return found, nil
}

// isSetUp reports whether the reply names a port to dial.
func (r reply) isSetUp() bool {
	switch r.code {
	case 227:
		numbers := sixNumbers.FindStringSubmatch(r.String())
		if numbers == nil {
			return false
		}
		for _, n := range numbers[1:] {
			if v, err := strconv.Atoi(n); err != nil || v > 255 {
				return false
			}
		}
		return true
	case 229:
		return onePort.MatchString(r.String())
	}
	return false
}

// backendAuth finds encryption that clients could have.
func backendAuth(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	for _, t := range h.talks() {
		if t.auth && t.svc.TLS.Mode == alg.RefuseTLS {
			found = append(found, Finding{
				Severity: Warning, About: t.about(), Seen: fmt.Sprintf("the backend %v offers TLS, and service %s refuses it to clients", t.at, t.svc.Name),
				Why:  "passwords and files cross the network in clear text; clients that insist on TLS give up",
				Edit: "write tls.mode = \"terminate\" with a certificate, or tls.mode = \"pass\"",
			})
		}
	}
	return found, nil
}

// certificates reads them as run would.
func certificates(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	h.each(func(svc *proxy.Service) {
		f := Finding{Severity: Error, About: svc.Name, Why: "clients refuse it, or cannot tell us from others"}
		expires, nameless, err := proxy.CheckCredentials(*svc)
		left := time.Until(expires)
		switch {
		case err != nil:
			f.Seen = fmt.Sprintf("service %s: %v", svc.Name, err)
			f.Why = "ftpgate run refuses to start"
			f.Edit = "correct the file, or the path in the configuration"
		case !expires.IsZero() && left <= 0:
			f.Seen = fmt.Sprintf("the certificate of service %s has expired on %s", svc.Name, expires.Format(time.DateOnly))
			f.Edit = "renew " + svc.TLS.Certificate + "; a running daemon takes the new one by itself"
		case nameless:
			f.Severity = Warning
			f.Seen = fmt.Sprintf("the certificate of service %s names no host (subjectAltName)", svc.Name)
			f.Why = "clients that verify certificates refuse it, whatever its subject says"
			f.Edit = "have it issued with the name that clients dial, " + svc.TLS.Certificate
		case expires.IsZero() || left > proxy.Soon:
			return
		default:
			f.Severity = Warning
			f.Seen = fmt.Sprintf("the certificate of service %s expires on %s", svc.Name, expires.Format(time.DateOnly))
			f.Edit = "renew " + svc.TLS.Certificate + "; a running daemon takes the new one by itself"
		}
		found = append(found, f)
	})
	return found, nil
}

// tlsPass says what cannot be seen from here, since it is within the TLS.
func tlsPass(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	h.each(func(svc *proxy.Service) {
		if svc.TLS.Mode != alg.PassTLS || svc.Mode == proxy.Forward {
			return
		}
		found = append(found, Finding{
			Severity: Notice, About: svc.Name + " passive", Seen: fmt.Sprintf("service %s passes TLS by, and cannot change the address in it", svc.Name),
			Why:  "the server itself must announce the address that clients dial, and ports of pass_ports",
			Edit: "set pasv_address and pasv_min_port (vsftpd), MasqueradeAddress and PassivePorts (ProFTPD) or the like on the server",
		})
		if svc.Active {
			found = append(found, Finding{
				Severity: Notice, About: svc.Name + " active", Seen: fmt.Sprintf("service %s offers active mode, which cannot work within TLS that passes by", svc.Name),
				Why:  "clients that encrypt and use active mode get no data",
				Edit: "write modes = [\"passive\"] if all clients use TLS",
			})
		}
	})
	return found, nil
}
