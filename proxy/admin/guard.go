package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy lets the page load its own files and ask its own server, and nothing else. Trusted types make the browser refuse to
// take a string for HTML, should the page ever try.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard keeps other web pages out. The browser of an administrator reaches this listener, and whatever page is open in it
// may try to: as another origin, or by a name of its own that it lets resolve to our address (DNS rebinding).
func guard(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !asked(r.Host, hosts) {
			problem(w, http.StatusMisdirectedRequest, fmt.Errorf("the request was made to %q, which is not a name of this listener: "+
				"use its address, or localhost", r.Host))
			return
		}
		if !ownPage(r) {
			problem(w, http.StatusForbidden, errors.New("the request comes from a page of another origin"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// asked says whether a Host header is one that no stranger's name can be.
func asked(header string, hosts []string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if host == "localhost" {
		return true
	}
	label, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(hosts, func(known string) bool {
		return host != "" && strings.EqualFold(known, host) || label != "" && strings.EqualFold(known, "*."+parent)
	})
}

// ownPage says whether a request is the page's own, or of no page. Others may link to the page, which shows them nothing.
func ownPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin": // older browsers and programs, the address bar, the page
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && r.URL.Path == "/"
}

// onlyReads refuses what could change something, before anybody asks what.
func onlyReads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed, fmt.Errorf("this listener shows and changes nothing, so it takes GET and not %s: "+
				"act through the admin socket, with the ftpgate command", r.Method))
			return
		}
		next.ServeHTTP(w, r)
	})
}
