package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

// startTrace asks for a trace and returns its lines; over real connections, as lines are to arrive while there may be more.
func startTrace(t *testing.T, daemon *fake) (lines *bufio.Scanner, cancel func()) {
	t.Helper()
	server := httptest.NewServer(NewControl(Options{Reader: daemon}, daemon))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+prefix+"/trace?client=198.51.100.7/24", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "application/x-ndjson" {
		t.Fatalf("%s, %s", answer.Status, got)
	}
	return bufio.NewScanner(answer.Body), cancel
}

func TestTraceArrivesLineByLine(t *testing.T) {
	daemon := &fake{traced: []api.Traced{
		{Session: 7, Service: "files", Client: "198.51.100.7:40312", Event: "begin", Line: api.Line{Time: moment}},
		{Session: 7, Service: "files", Client: "198.51.100.7:40312", Event: "line", Line: api.Line{Time: moment, From: "client", Text: "USER <b>\nx"}},
	}}
	lines, cancel := startTrace(t, daemon)
	for _, want := range daemon.traced { // the tracing goes on all the while
		if !lines.Scan() {
			t.Fatalf("no more lines: %v", lines.Err())
		}
		var got api.Traced
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	cancel() // the fake ends with its context, else closing the server never ends
	if lines.Scan() {
		t.Errorf("another line: %s", lines.Bytes())
	}
	if diff := cmp.Diff([]string{"trace 198.51.100.0/24"}, daemon.questions()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTraceEndsWithItsError(t *testing.T) {
	lines, _ := startTrace(t, &fake{err: errors.New("too many traces")})
	if !lines.Scan() || lines.Text() != `{"error":"too many traces"}` {
		t.Errorf("got %q (%v)", lines.Text(), lines.Err())
	}
	if lines.Scan() {
		t.Errorf("another line: %s", lines.Bytes())
	}
}
