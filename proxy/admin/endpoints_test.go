package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// ask makes a request as a program on the same host would.
func ask(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.Host = "127.0.0.1:9422"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// complaint is the text of an answer that is an error.
func complaint(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error == "" {
		t.Fatalf("the body of a %d is %q (%v), want a problem", w.Code, w.Body, err)
	}
	return p.Error
}

// What others read must not change: see the comment on package api before you rewrite.
func TestJSONIsStable(t *testing.T) {
	daemon := example()
	h := NewControl(Options{Reader: daemon}, daemon)
	for name, request := range map[string]string{
		"status": "GET /status", "sessions": "GET /sessions", "pinholes": "GET /pinholes", "failures": "GET /failures",
		"explain": "GET /explain/7.2", "throughput": "GET /throughput",
		"kill": "POST /kill?id=7", "drain": "POST /drain", "undrain": "POST /undrain", "reload": "POST /reload", "close-all": "POST /close-all",
		"problem": "GET /explain/7.9",
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(request, " ")
			w := ask(t, h, method, prefix+path)
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			file := filepath.Join("testdata", name+".json")
			if *rewrite {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnIdleDaemonHasEmptyLists(t *testing.T) {
	h := New(Options{Reader: &fake{}})
	for _, path := range []string{"/sessions", "/pinholes", "/failures", "/throughput"} {
		if w := ask(t, h, "GET", prefix+path); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestFiltersReachTheDaemon(t *testing.T) {
	for target, want := range map[string]string{
		"GET /sessions":                               "sessions {ID:0 Client: User: Service:}",
		"GET /sessions?id=18446744073709551615":       "sessions {ID:18446744073709551615 Client: User: Service:}",
		"GET /sessions?client=192.0.2.7&user=&id=":    "sessions {ID:0 Client:192.0.2.7 User: Service:}",
		"GET /sessions?client=::ffff:192.0.2.7":       "sessions {ID:0 Client:192.0.2.7 User: Service:}",
		"GET /failures?client=192.0.2.7/24&service=f": "failures {ID:0 Client:192.0.2.0/24 User: Service:f}",
		"GET /failures?user=%3Cb%3E%00x%20y":          "failures {ID:0 Client: User:<b>\x00x y Service:}",
		"POST /kill?client=2001:db8::7":               "kill {ID:0 Client:2001:db8::7 User: Service:} by 1000",
		"POST /kill?id=7&service=files":               "kill {ID:7 Client: User: Service:files} by 1000",
		"POST /drain":                                 "drain true by 1000",
		"POST /undrain":                               "drain false by 1000",
		"POST /reload":                                "reload by 1000",
		"POST /close-all":                             "close-all by 1000",
	} {
		daemon := &fake{}
		h := NewControl(Options{Reader: daemon}, daemon)
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(WithUID(t.Context(), 1000), method, prefix+path, nil))
		if diff := cmp.Diff([]string{want}, daemon.questions()); w.Code != 200 || diff != "" {
			t.Errorf("%s: %d %s (-want +got):\n%s", target, w.Code, w.Body, diff)
		}
	}
	if uid := UID(t.Context()); uid != -1 {
		t.Errorf("of nobody the uid is %d", uid)
	}
}

func TestBadRequestsSayWhatIsKnown(t *testing.T) {
	daemon := example()
	h := NewControl(Options{Reader: daemon}, daemon)
	for _, tt := range []struct {
		target string
		status int
		want   string
	}{
		{"GET /sessions?clinet=192.0.2.7", 400, `no parameter "clinet" here; known: id, client, user, service`},
		{"GET /status?x=1", 400, `no parameter "x" here; known: none`},
		{"GET /failures?id=7", 400, `no parameter "id" here`},
		{"GET /sessions?user=a&user=b", 400, "user is given 2 times"},
		{"GET /sessions?user=%zz", 400, "invalid URL escape"},
		{"GET /sessions?id=x", 400, `id "x" is not the number of a session`},
		{"GET /sessions?id=0", 400, `id "0" is not the number of a session`},
		{"GET /sessions?client=example.com", 400, "neither an address (198.51.100.7) nor a prefix"},
		{"GET /sessions?client=fe80::1%25eth0", 400, "neither an address"},
		{"GET /explain?client=192.0.2.0/24", 400, "is not an address"},
		{"GET /explain", 400, "is not an address"},
		{"GET /explain/x", 400, "is not the id of a transfer (42.3) or of a session (42)"},
		{"GET /explain/1.2.3", 400, "is not the id"},
		{"GET /explain/7.9", 404, "transfer 7.9: not known"},
		{"GET /explain/", 404, "there is: GET /api/v1/status"},
		{"GET /nothing", 404, "GET /api/v1/sessions"},
		{"POST /kill", 400, "say which sessions to end"},
		{"POST /kill?user=", 400, "say which sessions to end"},
		{"GET /kill?id=7", 405, "takes POST, not GET"},
		{"HEAD /kill?id=7", 405, "takes POST"},
		{"POST /status", 405, "takes GET, not POST"},
		{"POST /trace?client=192.0.2.7", 405, "takes GET"},
		{"GET /trace", 400, "client"},
		{"GET /trace?client=192.0.2.7&user=x", 400, "known: client"},
	} {
		daemon.asked = nil
		method, path, _ := strings.Cut(tt.target, " ")
		w := ask(t, h, method, prefix+path)
		if w.Code != tt.status || !strings.Contains(complaint(t, w), tt.want) {
			t.Errorf("%s: %d %s\nwant %d %s", tt.target, w.Code, w.Body, tt.status, tt.want)
		}
		if len(daemon.questions()) > 0 {
			t.Errorf("%s: the daemon was asked %v", tt.target, daemon.questions())
		}
	}
}

func TestErrorsHaveAStatus(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("reload: %w: it goes down", api.ErrNotNow), 409},
		{fmt.Errorf("session 7: %w", api.ErrUnknown), 404},
		{errors.New("the kernel said no"), 500},
	} {
		daemon := &fake{err: tt.err}
		h := NewControl(Options{Reader: daemon}, daemon)
		for _, path := range []string{"/kill?id=7", "/drain", "/reload", "/close-all"} {
			if w := ask(t, h, "POST", prefix+path); w.Code != tt.status || complaint(t, w) != tt.err.Error() {
				t.Errorf("%s with %q: %d %s", path, tt.err, w.Code, w.Body)
			}
		}
	}
}

func TestWhatJSONCannotSayIsAnError(t *testing.T) {
	daemon := example()
	zero := 0.0
	daemon.throughput[0].ToClients = 1 / zero
	w := ask(t, New(Options{Reader: daemon}), "GET", prefix+"/throughput")
	if w.Code != 500 || !strings.Contains(complaint(t, w), "+Inf") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
