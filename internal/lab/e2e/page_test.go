package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/browser/browsertest"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
	"ftpgate/proxy/api"

	"github.com/chromedp/chromedp"
)

// The page, as a browser on the gateway host gets it, and its listener's key.
const (
	statusPage = "http://127.0.0.1:9422"
	pageKey    = "listen = \"127.0.0.1:9422\"\n" // of [admin], with which every configuration here begins
)

// Names as somebody chooses them who wants to act in the administrator's browser.
const (
	hostileUser = `</td></table><script>window.__pwned=true</script>`
	hostileFile = `/<img src=x onerror="window.__pwned=true">`
	missingFile = `/"><svg onload=window.__pwned=true>`
)

// The status page shows what the daemon does while it does it, and no name that
// comes from outside does anything in it.
func TestPageOfADaemonAtWork(t *testing.T) {
	t.Parallel()
	l := labtest.New(t, lab.Options{})
	d := browsertest.Open(t, browsertest.Start(t, l.Gateway))
	files := ftpd.NewTree()
	for _, name := range []string{hostileFile, "/big.iso"} {
		if err := files.PutZeros(name, 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.PutSink("/sink"); err != nil {
		t.Fatal(err)
	}
	runServer(t, l, &ftpd.Server{Files: files})
	g := prepareGateway(t, l, pageKey+fmt.Sprintf(services, "")+relayedService)
	g.start()

	d.Do(chromedp.EmulateViewport(1280, 1200), chromedp.Navigate(statusPage+"/"))
	d.AwaitText("#state", "Ready")
	d.AwaitText("#sessions", "No sessions")
	d.AwaitText("#failures", "No failed transfers")
	d.Picture("daemon-idle", "h1")

	stop := atWork(t, l)
	eventually(t, "the daemon has seen data for a while", func() bool {
		_, text := g.fetch(statusPage + "/api/v1/throughput")
		var samples []api.Sample
		busy := 0
		if err := json.Unmarshal([]byte(text), &samples); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, s := range samples {
			if s.ToClients > 1e6 && s.ToServers > 1e5 {
				busy++
			}
		}
		return busy >= 3
	})
	for selector, texts := range map[string][]string{
		"#sessions": {hostileUser, "RETR " + hostileFile, "STOR /sink", "RETR /big.iso", "relayed", "demo"},
		"#failures": {"server_error", "RETR " + missingFile, "bounce", "550 No such file."},
		"#services": {"files", "relayed", "10.0.0.5:21"},
		"#pinholes": {"198.51.100.7", "PASV"},
	} {
		for _, text := range texts {
			d.AwaitText(selector, text)
		}
	}
	d.Await(`/[1-9][0-9.]* [kMG]iB\/s/.test(document.querySelector("#chart .legend").innerText)`)
	d.Picture("daemon-load", "h1")
	d.Picture("daemon-load-sessions", "#sessions")
	d.Do(chromedp.Click(chromedp.CSS("article > button")))
	d.AwaitText(".dialogue", "227 Entering Passive Mode (198,51,100,1,")
	d.Picture("daemon-load-failure", "#failures")
	stop()
	d.Await("[...document.querySelectorAll('#sessions .path')].length === 0")
}

// The listener answers to its own names alone, and changes nothing.
func TestPageIsForItsOwnHost(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	startFTPD(t, l)
	g := prepareGateway(t, l, pageKey+fmt.Sprintf(services, ""))
	g.start()
	for _, tt := range []struct{ want, args string }{
		{"200", "/"},
		{"200", "/api/v1/status"},
		{"200", "-H Host:localhost:9422 /api/v1/status"},
		{"421", "-H Host:evil.example /api/v1/status"},
		{"421", "-H Host:127.0.0.1.evil.example:9422 /"},
		{"403", "-H Sec-Fetch-Site:cross-site /api/v1/sessions"},
		{"405", "-X POST /api/v1/drain"},
		{"405", "-X POST /api/v1/kill?service=files"},
	} {
		args := strings.Fields(tt.args)
		args[len(args)-1] = statusPage + args[len(args)-1]
		out, err := tree.Command(t.Context(), l.Gateway, nil, "curl", append([]string{"-s", "-o", "/dev/null", "-w", "%{http_code}"}, args...)...).CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("curl %s: %s (%v), want %s", tt.args, out, err, tt.want)
		}
	}
	if v := g.metric("ftpgate_draining"); v != "0" {
		t.Errorf("ftpgate_draining is %s", v)
	}
	if status, body := g.fetch("http://127.0.0.1:9421/api/v1/status"); status != 404 {
		t.Errorf("the listener of the metrics has the API too: %d %s", status, body)
	}
}

// atWork has transfers run, at a pace, and others fail. The returned function
// ends them and waits for that.
func atWork(t *testing.T, l *lab.Lab) (stop func()) {
	t.Helper()
	const relay = "198.51.100.1:2121"
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	run := func(at, mode, user, command string) {
		c, err := ftpc.Dial(l.Client, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"USER " + user, "PASS x", "TYPE I"} {
			if r, err := c.Do(line); err != nil || r.Code >= 400 {
				t.Fatalf("%s: %v, %v", line, r, err)
			}
		}
		d := setUp(t, c, mode)
		if err := c.Send(command); err != nil {
			t.Fatal(err)
		}
		data, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer c.Close()
			defer data.Close()
			piece, tick := make([]byte, 256<<10), time.NewTicker(20*time.Millisecond) // 12 MB/s at most
			defer tick.Stop()
			for err := error(nil); err == nil; {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if strings.HasPrefix(command, "STOR") {
					_, err = data.Write(piece)
				} else {
					_, err = data.Read(piece)
				}
			}
		})
	}
	run(gateway4, "PASV", hostileUser, "RETR "+hostileFile)
	run(gateway6, "EPRT", "demo", "RETR /big.iso")
	run(relay, "EPSV", "demo", "RETR /big.iso")
	run(relay, "PASV", "demo", "STOR /sink")

	c := login(t, l.Client, gateway4)
	must := func(class int, command string) {
		if err := c.Must(class, command); err != nil {
			t.Error(err)
		}
	}
	must(5, "PORT 127,0,0,9,200,1")
	setUp(t, c, "PASV")
	must(5, "RETR "+missingFile)
	setUp(t, c, "PASV") // and waits
	return func() {
		cancel()
		running.Wait()
	}
}
