package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHostsThatNoStrangerCanName(t *testing.T) {
	h := New(Options{Reader: example(), Hosts: []string{"Gate.example.net", "*.lab.example.net"}})
	for host, want := range map[string]int{
		"127.0.0.1:9422": 200, "127.0.0.1": 200, "[::1]:9422": 200, "[::1]": 200, "192.0.2.1:9422": 200,
		"localhost:9422": 200, "LOCALHOST": 200, "localhost.": 200,
		"gate.example.net:9422": 200, "GATE.EXAMPLE.NET": 200, "a.lab.example.net": 200,
		"evil.example:9422": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "xgate.example.net": 421,
		"lab.example.net": 421, "a.b.lab.example.net": 421, ".lab.example.net": 421, "": 421, ".": 421, ":9422": 421,
	} {
		for _, path := range []string{"/", prefix + "/status", "/nothing"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if refused := w.Code == 421; refused != (want == 421) {
				t.Errorf("%s%s: %d, want %d", host, path, w.Code, want)
			}
		}
	}
}

func TestPagesOfOthersGetNothing(t *testing.T) {
	h := New(Options{Reader: example()})
	for _, tt := range []struct {
		path, site, mode, dest string
		want                   int
	}{
		{prefix + "/status", "same-origin", "cors", "empty", 200},
		{prefix + "/status", "none", "navigate", "document", 200},
		{prefix + "/status", "", "", "", 200},
		{prefix + "/status", "cross-site", "no-cors", "script", 403},
		{prefix + "/status", "cross-site", "navigate", "document", 403},
		{prefix + "/status", "same-site", "cors", "empty", 403}, // another port of this host
		{"/", "cross-site", "navigate", "document", 200},        // a link
		{"/", "cross-site", "navigate", "iframe", 403},
		{"/", "cross-site", "no-cors", "image", 403},
	} {
		r := httptest.NewRequest("GET", tt.path, nil)
		r.Host = "127.0.0.1:9422"
		r.Header.Set("Origin", "http://evil.example")
		r.Header.Set("Sec-Fetch-Site", tt.site)
		r.Header.Set("Sec-Fetch-Mode", tt.mode)
		r.Header.Set("Sec-Fetch-Dest", tt.dest)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%+v: %d %s", tt, w.Code, w.Body)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%+v: has %s", tt, name)
			}
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := New(Options{Reader: example()})
	for _, target := range []string{"GET /", "GET " + prefix + "/status", "GET " + prefix + "/explain/x", "GET /nothing", "POST /", "GET http://evil.example/"} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequest(method, path, nil)
		if !strings.Contains(target, "evil") {
			r.Host = "localhost"
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; script-src 'self'",
			"X-Content-Type-Options":       "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Frame-Options":              "DENY",
			"Cache-Control":                "no-store",
		} {
			if got := w.Header().Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q", target, name, got)
			}
		}
	}
}

func TestTheListenerOnlyReads(t *testing.T) {
	daemon := example()
	h := New(Options{Reader: daemon})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		for _, path := range []string{"/", prefix + "/status", prefix + "/kill?id=7", prefix + "/drain", "/nothing"} {
			w := ask(t, h, method, path)
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" || !strings.Contains(complaint(t, w), "admin socket") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	for _, path := range []string{"/kill?id=7", "/drain", "/undrain", "/reload", "/close-all", "/trace?client=192.0.2.7"} {
		if w := ask(t, h, "GET", prefix+path); w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if len(daemon.questions()) > 0 {
		t.Errorf("the daemon was asked %v", daemon.questions())
	}
}

func TestPageIsServedWithItsTypes(t *testing.T) {
	h := New(Options{Reader: example()})
	if w := ask(t, h, "GET", "/"); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("/: %d %s", w.Code, w.Header())
	}
	if w := ask(t, h, "GET", "/index.html"); w.Code != 404 {
		t.Errorf("/index.html: %d", w.Code)
	}
	if w := ask(t, h, "GET", "/passwd"); w.Code != 404 || !strings.Contains(complaint(t, w), "the status page is at /") {
		t.Errorf("/passwd: %d %s", w.Code, w.Body)
	}
}
