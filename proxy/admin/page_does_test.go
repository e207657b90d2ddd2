package admin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ftpgate/proxy/api"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// What the page does when something happens. TestPage runs these, in one browser.

func pageWithoutDaemon(t *testing.T, d *desk) {
	daemon := example()
	daemon.status.Draining, daemon.status.Ready, daemon.status.NotReady = false, true, nil
	daemon.status.Services[0].Backends[1].Up = true
	p := d.open(t, daemon, light)
	p.Expected = func(c string) bool { return strings.Contains(c, "net::ERR_") }
	p.AwaitText("#state", "Ready")
	p.stop()
	p.AwaitText("#state", "No answer")
	p.Await("/The daemon does not answer. What is below is from \\d\\d:\\d\\d:\\d\\d/.test(document.getElementById('banner').innerText)")
	p.Await("document.title === 'ftpgate: no answer'")
	p.Picture("gone", "h1")
	before := eval[string](p, "document.getElementById('banner').innerText")
	p.serve(daemon)
	p.AwaitText("#state", "Ready")
	p.Await("document.getElementById('banner').innerText === '' && !document.body.classList.contains('old')")
	if !strings.Contains(before, "goes on asking") {
		t.Errorf("the banner does not say what happens next: %q", before)
	}
}

func pageChart(t *testing.T, d *desk) {
	daemon := withWaves(example())
	p := d.open(t, daemon, light)
	p.Await("document.querySelectorAll('#chart polyline').length > 0")
	// Two directions, each in two pieces for the minute that is missing.
	pieces := eval[[]int](p, "[...document.querySelectorAll('#chart polyline')].map((e) => e.points.numberOfItems)")
	if diff := cmp.Diff([]int{101, 170, 101, 170}, pieces); diff != "" {
		t.Errorf("points of the lines (-want +got):\n%s", diff)
	}
	labels := eval[[]string](p, "[...document.querySelectorAll('#chart .axes text')].map((e) => e.textContent)")
	for _, want := range []string{"0", "50 MiB/s", "100 MiB/s", "11:55", "12:00"} {
		if !slices.Contains(labels, want) {
			t.Errorf("no label %q among %q", want, labels)
		}
	}
	if !eval[bool](p, `(() => { // zero is at the bottom, whatever the least value
		const zero = document.querySelector(".axes .zero").getBoundingClientRect().bottom;
		return [...document.querySelectorAll("#chart polyline")].every((e) => e.getBoundingClientRect().bottom <= zero + 1);
	})()`) {
		t.Error("a line goes below zero")
	}
	p.AwaitText(".legend", "now, 12:00:00")
	middle := eval[[]float64](p, "(() => { const b = document.querySelector('#chart svg').getBoundingClientRect(); return [b.left + b.width * 0.25, b.top + 50]; })()")
	p.Do(chromedp.MouseEvent(chromedp.MouseMoved, middle[0], middle[1]))
	p.AwaitText(".legend .when", "at 11:52:")
	p.Picture("chart", "h1")
	p.Do(chromedp.MouseEvent(chromedp.MouseMoved, 5, 5))
	p.AwaitText(".legend .when", "now")

	p.Do(chromedp.Focus(chromedp.CSS("#chart svg")), chromedp.KeyEvent(kb.Home))
	p.AwaitText(".legend .when", "at 11:50:02")
	p.Do(chromedp.KeyEvent(kb.ArrowRight))
	p.AwaitText(".legend .when", "at 11:50:04")
	if text := eval[string](p, "document.querySelector('#chart svg').getAttribute('aria-valuetext')"); !regexp.MustCompile(
		`^at 11:50:04: [\d.]+ MiB/s to clients, [\d.]+ MiB/s to servers$`).MatchString(text) {
		t.Errorf("who does not see the chart is told %q", text)
	}
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.AwaitText(".legend .when", "now")
}

func pageFilter(t *testing.T, d *desk) {
	p := d.open(t, crowd(1000), light)
	p.AwaitText("#sessions .note", "800 are not")
	filter := func(text string) {
		eval[bool](p, "document.getElementById('filter').select(), true") // what is typed then takes its place
		p.Do(chromedp.SendKeys(chromedp.CSS("#filter"), text))
	}
	filter("198.51.2. OUTBOUND")
	p.AwaitText("#sessions .note", "125 of 1\u202f000 match")
	if n := eval[int](p, "document.querySelectorAll('#sessions tbody').length"); n != 125 {
		t.Errorf("%d sessions are shown, want 125", n)
	}
	filter("<IMG")
	p.AwaitText("#sessions .note", "64 of 1\u202f000 match")
	filter("nobody has this name")
	p.AwaitText("#sessions .empty", "No session matches the filter.")
	// What was typed stays when there is news.
	polls := "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/sessions')).length"
	p.Await(fmt.Sprintf("%s > %d", polls, eval[int](p, polls)+1))
	p.AwaitText("#sessions .empty", "No session matches the filter.")
}

func pageFailures(t *testing.T, d *desk) {
	p := d.open(t, crowd(10), light)
	p.AwaitText("#failures > .content > button", "Show more of 120")
	if n := eval[int](p, "document.querySelectorAll('article').length"); n != 10 {
		t.Errorf("%d failures are shown at first, want 10", n)
	}
	p.Do(chromedp.Click(chromedp.CSS("#failures > .content > button")))
	p.Await("document.querySelectorAll('article').length === 60")
	p.Await("document.querySelectorAll('.choices button').length > 2")
	p.Do(chromedp.Click(chromedp.CSS(".choices button:nth-child(2)")))
	chosen := eval[string](p, "document.querySelector('.choices [aria-pressed=true]').firstChild.textContent")
	p.Await(fmt.Sprintf("[...document.querySelectorAll('article .cause')].every((e) => e.textContent === %q)", chosen))
	if n := eval[int](p, "document.querySelectorAll('article').length"); n == 0 {
		t.Errorf("no failure by %s is shown", chosen)
	}
}

func pageNews(t *testing.T, d *desk) {
	daemon := example()
	p := d.open(t, daemon, light)
	p.AwaitText("#sessions", "RETR /pub/big.iso")
	p.Do(chromedp.Click(chromedp.CSS("article > button")))
	p.AwaitText(".dialogue", "227")
	p.AwaitText("#pinholes td", "11 s") // by itself: what is asked for says 12.5, always
	p.Await("document.querySelector('#pinholes td').innerText === '13 s'")

	daemon.mu.Lock()
	daemon.status.Sessions, daemon.status.Failures = 2, 2
	second := guest(1)
	second.ID, second.User = 8, "somebody new"
	daemon.sessions = []api.Session{second}
	late := daemon.failures[0]
	late.ID, late.Sentence = "8.1", "The client dialled when the pinhole was gone."
	daemon.failures = append([]api.Failure{late}, daemon.failures...)
	daemon.pinholes = nil
	daemon.mu.Unlock()
	p.AwaitText("#sessions", "somebody new")
	p.Await("!document.querySelector('#sessions').innerText.includes('big.iso')")
	p.AwaitText("article", "when the pinhole was gone")
	p.AwaitText("#pinholes .empty", "No open pinholes")
	if !eval[bool](p, "document.querySelectorAll('article')[1].querySelector('.dialogue').checkVisibility()") {
		t.Error("what was open is not, since there is news")
	}
}

func pageStates(t *testing.T, d *desk) {
	daemon := idle()
	daemon.throughput = nil
	p := d.open(t, daemon, light)
	p.AwaitText("#state", "Ready")
	p.AwaitText("#chart .empty", "No samples yet.")
	set := func(change func(*api.Status)) {
		daemon.mu.Lock()
		defer daemon.mu.Unlock()
		change(&daemon.status)
	}
	set(func(s *api.Status) { s.Services[0].Backends[0].Up = false })
	p.AwaitText("#banner", "The last connection to a backend failed:")
	p.AwaitText("#banner li", "10.0.0.5:21 of files")
	set(func(s *api.Status) {
		s.Ready, s.NotReady = false, []string{"the accept rule is missing in inet filter forward", "service files listens nowhere"}
	})
	p.AwaitText("#state", "Not ready")
	p.AwaitText("#banner li", "the accept rule is missing in inet filter forward")
	p.AwaitText("#banner li", "service files listens nowhere")
	p.Picture("not-ready", "h1")
	set(func(s *api.Status) { s.Draining = true })
	p.AwaitText("#state", "Draining")
	p.Await("document.title === 'ftpgate: draining'")
}

func pagePending(t *testing.T, d *desk) {
	daemon := example()
	running := &daemon.sessions[0].Transfers[0]
	running.Connected, running.Bytes, running.Rate = false, 0, 0
	pending := daemon.explanations["7.2"]
	pending.ID, pending.Pending = "7.3", true
	daemon.explanations["7.3"] = pending
	p := d.open(t, daemon, light)
	p.Expected = func(c string) bool { return strings.Contains(c, "404 (Not Found)") }
	p.AwaitText("#sessions .transfer", "waits for its data connection")
	p.Do(chromedp.Click(chromedp.CSS("#sessions .transfer button")))
	p.AwaitText("#sessions .explanation", "no_syn: The client never dialled 198.51.100.1:61004.")
	p.readable()
	p.Picture("pending", "#sessions")
	daemon.mu.Lock()
	delete(daemon.explanations, "7.3")
	daemon.mu.Unlock()
	p.Do(chromedp.Click(chromedp.CSS("#sessions .transfer button")), chromedp.Click(chromedp.CSS("#sessions .transfer button")))
	p.AwaitText("#sessions .explanation", "No explanation: transfer 7.3: not known, or no longer.")
}

func pageNumbers(t *testing.T, d *desk) {
	p := d.open(t, idle(), light)
	for call, want := range map[string]string{
		"bytes(0)": "0 B", "bytes(999)": "999 B", "bytes(1000)": "1.0 KiB", "bytes(1024)": "1.0 KiB", "bytes(1023 * 1024)": "1.0 MiB",
		"bytes(99.94 * 1024)": "99.9 KiB", "bytes(99.96 * 1024)": "100 KiB", "bytes(2 ** 64)": "16.0 EiB", "rate(0.4)": "0 B/s", "rate(24.5e6)": "23.4 MiB/s",
		"duration(-1)": "0 s", "duration(59.9)": "59 s", "duration(60)": "1 min 00 s", "duration(3599)": "59 min 59 s", "duration(3600)": "1 h 00 min",
		"duration(86399)": "23 h 59 min", "duration(90000)": "1 d 1 h", "about(61)": "1 min", "about(7260)": "2 h 01 min",
		"counted(1, 'session')": "1 session", "counted(12345, 'session')": "12 345 sessions", "count(0)": "0",
		"moment(new Date(2026, 2, 4, 5, 6, 7), new Date(2026, 2, 4, 23))":    "05:06:07",
		"moment(new Date(2026, 2, 4, 5, 6, 7), new Date(2026, 2, 5, 0, 30))": "2026-03-04 05:06:07",
	} {
		got, err := chromedp.Run(p.Ctx, chromedp.Evaluate[string](`import("/format.js").then((f) => f.`+call+`)`, chromedp.EvalAwaitPromise))
		if err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", call, got, err, want)
		}
	}
}

// pagePolicy shows that the policy would stop a script, should the page have a mistake, and that the tests would hear of it.
func pagePolicy(t *testing.T, d *desk) {
	p := d.open(t, idle(), light)
	p.AwaitText("#state", "Ready")
	p.Expected = func(c string) bool { return strings.HasPrefix(c, "security error") }
	for _, attempt := range []string{
		`document.getElementById("footer").innerHTML = "<img src=x onerror='window.__pwned=true'>"`,
		`document.getElementById("footer").insertAdjacentHTML("beforeend", "<script>window.__pwned=true</script>")`,
		`document.write("<script>window.__pwned=true</script>")`,
	} {
		text, _ := json.Marshal(attempt)
		got := eval[string](p, fmt.Sprintf(`(() => { try { %s; return "done: " + %s; } catch (e) { return e.name; } })()`, attempt, text))
		if got != "TypeError" {
			t.Errorf("HTML by a string: %s", got)
		}
	}
	eval[bool](p, `(() => { const a = document.createElement("a"); a.href = "javascript:window.__pwned=true"; document.body.append(a); a.click(); a.remove(); return true; })()`)
	p.Await("new Promise((done) => setTimeout(done, 0)).then(() => true)")
	if got := p.Complaints(); len(got) < 3 {
		t.Errorf("the browser complained of %q, want it to of each attempt", got)
	}
}
