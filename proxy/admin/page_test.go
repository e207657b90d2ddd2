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

// The page in a real browser. Whatever a test does, tab.check looks in its end for scripts that ran and complaints.
func TestPage(t *testing.T) {
	d := startDesk(t)
	looks := map[string]look{"light": light, "dark": dark, "phone": phone}
	for name, l := range looks {
		t.Run("idle "+name, func(t *testing.T) { pageIdle(d.open(t, idle(), l), "idle-"+name) })
		t.Run("one of everything "+name, func(t *testing.T) { pageExample(d.open(t, withWaves(example()), l), "example-"+name) })
		t.Run("load "+name, func(t *testing.T) { pageLoad(d.open(t, crowd(1000), l), "load-"+name) })
	}
	for name, test := range map[string]func(*testing.T, *desk){
		"daemon goes and comes": pageWithoutDaemon,
		"chart is read":         pageChart,
		"sessions are filtered": pageFilter,
		"failures are chosen":   pageFailures,
		"news is shown":         pageNews,
		"states of the daemon":  pageStates,
		"running is explained":  pagePending,
		"policy":                pagePolicy,
	} {
		t.Run(name, func(t *testing.T) { test(t, d) })
	}
}

// idle is a daemon that nobody uses.
func idle() *fake {
	daemon := &fake{status: crowd(0).status}
	daemon.status.Failures = 0
	return daemon
}

func withWaves(daemon *fake) *fake {
	daemon.throughput = waves()
	return daemon
}

// fits checks that nothing of the page is beside the screen, but in what can be scrolled by itself.
func (p *tab) fits() {
	p.t.Helper()
	if over := eval[int](p, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		p.t.Errorf("the page is %d pixels wider than the screen", over)
	}
	outside := eval[[]string](p, `[...document.querySelectorAll("body *")].filter((e) => {
		const box = e.getBoundingClientRect();
		return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && !e.closest(".scroll, thead");
	}).map((e) => e.outerHTML.slice(0, 100))`)
	if len(outside) > 0 {
		p.t.Errorf("beside the screen: %s", strings.Join(outside, "\n"))
	}
	if eval[bool](p, "innerWidth <= 480") {
		if n := eval[int](p, "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"); n > 0 {
			p.t.Errorf("%d tables are wider than a phone", n)
		}
	}
}

// readable checks what those need who do not see the page, or use no mouse.
func (p *tab) readable() {
	p.t.Helper()
	levels := eval[[]int](p, "[...document.querySelectorAll('h1, h2, h3, h4')].filter((e) => e.checkVisibility()).map((e) => Number(e.tagName[1]))")
	for i, l := range levels {
		if i == 0 && l != 1 || i > 0 && l > levels[i-1]+1 {
			p.t.Errorf("a heading of level %d comes after %v", l, levels[:i])
		}
	}
	for what, expression := range map[string]string{
		"buttons without a text":    "[...document.querySelectorAll('button')].filter((e) => e.innerText.trim() === '' && e.checkVisibility())",
		"inputs without a label":    "[...document.querySelectorAll('input')].filter((e) => e.labels.length === 0)",
		"cells without a name":      "[...document.querySelectorAll('td')].filter((e) => !e.dataset.label || e.getAttribute('role') !== 'cell')",
		"tables without a name":     "[...document.querySelectorAll('table')].filter((e) => !e.getAttribute('aria-label'))",
		"sections without a name":   "[...document.querySelectorAll('section')].filter((e) => !document.getElementById(e.getAttribute('aria-labelledby')))",
		"regions nothing leads to":  "[...document.querySelectorAll('.explanation')].filter((e) => !document.querySelector(`[aria-controls=${e.id}]`))",
		"ids that are there twice":  "[...document.querySelectorAll('[id]')].filter((e) => document.querySelectorAll('#' + e.id).length > 1)",
		"things that are too small": "[...document.querySelectorAll('button, input, #now a')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 18)",
	} {
		if n := eval[int](p, expression+".length"); n > 0 {
			p.t.Errorf("%d %s", n, what)
		}
	}
}

func pageIdle(p *tab, name string) {
	p.awaitText("#state", "Ready")
	p.awaitText("#sessions .empty", "No sessions. Clients connect to 198.51.100.1:21 (files), 10.0.0.1:2121 (outbound), [fd00:10::1]:2121 (outbound).")
	p.awaitText("#failures .empty", "No failed transfers")
	p.awaitText("#pinholes .empty", "No open pinholes")
	p.awaitText("#chart .empty", "No samples")
	p.awaitText("#services", "10.0.0.5:21")
	if text := eval[string](p, "document.getElementById('banner').innerText"); text != "" {
		p.t.Errorf("all is well, and the banner says %q", text)
	}
	if eval[bool](p, "document.querySelector('#filter').checkVisibility()") {
		p.t.Error("there is a filter, and nothing to filter")
	}
	p.fits()
	p.readable()
	p.picture(name, "h1")
}

func pageExample(p *tab, name string) {
	p.awaitText("#sessions", "RETR /pub/big.iso")
	for selector, texts := range map[string][]string{
		"#state":    {"Draining"},
		"#banner":   {"New sessions are refused; those that are there go on (1 session)."},
		"#about":    {"v1.2.3, up for 2 d 2 h"},
		"#now":      {"of 10\u202f000", "1 relayed"},
		"#services": {"files", "reverse, TLS terminate", "198.51.100.1:21", "up", "10.0.0.5:21", "down", "10.0.0.6:21", "1\u202f204", "8.0 GiB", "3.0 MiB"},
		"#failures": {"no_syn", "The client never dialled 198.51.100.1:61004.", "Something before the client", "RETR /pub/big.iso",
			"demo from 198.51.100.7:40312 by files", "11:58:30, 1 min ago"},
		"#pinholes": {"198.51.100.7", "198.51.100.1:61004", "10.0.0.5:40001", "PASV"},
		"#sessions": {"198.51.100.7:40312", "to 10.0.0.5:21, TLS", "demo", "23.4 MiB/s", "96.0 MiB, EPSV, relayed", "900 B", "3 s", "5 min 00 s"},
		"#footer":   {"/etc/ftpgate/ftpgate.toml, loaded 10:00:00", "inet ftpgate, owned"},
	} {
		shown := eval[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				p.t.Errorf("%s does not show %q:\n%s", selector, text, shown)
			}
		}
	}
	p.picture(name, "h1")
	p.do(chromedp.Click(chromedp.CSS("article > button")))
	p.awaitText(".dialogue", "227 Entering Passive Mode (198,51,100,1,238,76)")
	p.awaitText("article .explanation", "nobody dialled it")
	p.awaitText("article .explanation", "expired PASV for 198.51.100.7 to dial 198.51.100.1:61004, to 10.0.0.5:40001")
	p.awaitText(".dialogue time", "\u221221.000 s")
	p.fits()
	p.readable()
	p.picture(name+"-failure", "#failures")
}

func pageLoad(p *tab, name string) {
	p.awaitText("#sessions .note", "the 200 most active are shown, 800 are not: use the filter")
	if n := eval[int](p, "document.querySelectorAll('#sessions tbody').length"); n != 200 {
		p.t.Errorf("%d sessions are shown, want 200", n)
	}
	p.picture(name, "h1")
	p.picture(name+"-failures", "#failures")
	p.picture(name+"-sessions", "#sessions")

	// Each name is there, as text, with what cannot be seen made visible.
	users := eval[[]string](p, "[...document.querySelectorAll('#sessions td[data-label=User]')].map((e) => e.textContent)")
	paths := eval[[]string](p, "[...document.querySelectorAll('#sessions .path')].map((e) => e.textContent)")
	for _, name := range hostile {
		if !slices.Contains(users, visible(name)) {
			p.t.Errorf("no session shows the user %.80q", visible(name))
		}
		if !slices.Contains(paths, "RETR /pub/"+visible(name)) {
			p.t.Errorf("no session shows the path %.80q", visible(name))
		}
	}
	p.do(chromedp.Click(chromedp.CSS("article > button")))
	p.await("document.querySelectorAll('.dialogue li').length > 0")
	lines := eval[[]string](p, "[...document.querySelectorAll('.dialogue li > .peer:nth-of-type(1)')].map((e) => e.textContent)")
	var want []string
	for _, name := range hostile {
		want = append(want, visible("RETR "+name))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		p.t.Errorf("the lines of the explanation (-want +got):\n%s", diff)
	}
	p.picture(name+"-explanation", "article .explanation")
	p.fits()
	p.readable()
}

var unseen = regexp.MustCompile("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]")

// visible says how the page shows a name of the tests.
func visible(name string) string {
	return unseen.ReplaceAllStringFunc(name, func(s string) string { return fmt.Sprintf("‹U+%04X›", []rune(s)[0]) })
}

func pageWithoutDaemon(t *testing.T, d *desk) {
	daemon := example()
	daemon.status.Draining, daemon.status.Ready, daemon.status.NotReady = false, true, nil
	daemon.status.Services[0].Backends[1].Up = true
	p := d.open(t, daemon, light)
	p.expected = func(c string) bool { return strings.Contains(c, "net::ERR_") }
	p.awaitText("#state", "Ready")
	p.stop()
	p.awaitText("#state", "No answer")
	p.await("/The daemon does not answer. What is below is from \\d\\d:\\d\\d:\\d\\d/.test(document.getElementById('banner').innerText)")
	p.await("document.title === 'ftpgate: no answer'")
	p.picture("gone", "h1")
	before := eval[string](p, "document.getElementById('banner').innerText")
	p.serve(daemon)
	p.awaitText("#state", "Ready")
	p.await("document.getElementById('banner').innerText === '' && !document.body.classList.contains('old')")
	if !strings.Contains(before, "goes on asking") {
		t.Errorf("the banner does not say what happens next: %q", before)
	}
}

func pageChart(t *testing.T, d *desk) {
	daemon := withWaves(example())
	p := d.open(t, daemon, light)
	p.await("document.querySelectorAll('#chart polyline').length > 0")
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
	p.awaitText(".legend", "now, 12:00:00")
	middle := eval[[]float64](p, "(() => { const b = document.querySelector('#chart svg').getBoundingClientRect(); return [b.left + b.width * 0.25, b.top + 50]; })()")
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, middle[0], middle[1]))
	p.awaitText(".legend .when", "at 11:52:")
	p.picture("chart", "h1")
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, 5, 5))
	p.awaitText(".legend .when", "now")

	p.do(chromedp.Focus(chromedp.CSS("#chart svg")), chromedp.KeyEvent(kb.Home))
	p.awaitText(".legend .when", "at 11:50:02")
	p.do(chromedp.KeyEvent(kb.ArrowRight))
	p.awaitText(".legend .when", "at 11:50:04")
	if text := eval[string](p, "document.querySelector('#chart svg').getAttribute('aria-valuetext')"); !regexp.MustCompile(
		`^at 11:50:04: [\d.]+ MiB/s to clients, [\d.]+ MiB/s to servers$`).MatchString(text) {
		t.Errorf("who does not see the chart is told %q", text)
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	p.awaitText(".legend .when", "now")
}

func pageFilter(t *testing.T, d *desk) {
	p := d.open(t, crowd(1000), light)
	p.awaitText("#sessions .note", "800 are not")
	filter := func(text string) {
		eval[bool](p, "document.getElementById('filter').select(), true") // what is typed then takes its place
		p.do(chromedp.SendKeys(chromedp.CSS("#filter"), text))
	}
	filter("198.51.2. OUTBOUND")
	p.awaitText("#sessions .note", "125 of 1\u202f000 match")
	if n := eval[int](p, "document.querySelectorAll('#sessions tbody').length"); n != 125 {
		t.Errorf("%d sessions are shown, want 125", n)
	}
	filter("<IMG")
	p.awaitText("#sessions .note", "64 of 1\u202f000 match")
	filter("nobody has this name")
	p.awaitText("#sessions .empty", "No session matches the filter.")
	// What was typed stays when there is news.
	polls := "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/sessions')).length"
	p.await(fmt.Sprintf("%s > %d", polls, eval[int](p, polls)+1))
	p.awaitText("#sessions .empty", "No session matches the filter.")
}

func pageFailures(t *testing.T, d *desk) {
	p := d.open(t, crowd(10), light)
	p.awaitText("#failures > .content > button", "Show more of 120")
	if n := eval[int](p, "document.querySelectorAll('article').length"); n != 10 {
		t.Errorf("%d failures are shown at first, want 10", n)
	}
	p.do(chromedp.Click(chromedp.CSS("#failures > .content > button")))
	p.await("document.querySelectorAll('article').length === 60")
	p.await("document.querySelectorAll('.choices button').length > 2")
	p.do(chromedp.Click(chromedp.CSS(".choices button:nth-child(2)")))
	chosen := eval[string](p, "document.querySelector('.choices [aria-pressed=true]').firstChild.textContent")
	p.await(fmt.Sprintf("[...document.querySelectorAll('article .cause')].every((e) => e.textContent === %q)", chosen))
	if n := eval[int](p, "document.querySelectorAll('article').length"); n == 0 {
		t.Errorf("no failure by %s is shown", chosen)
	}
}

func pageNews(t *testing.T, d *desk) {
	daemon := example()
	p := d.open(t, daemon, light)
	p.awaitText("#sessions", "RETR /pub/big.iso")
	p.do(chromedp.Click(chromedp.CSS("article > button")))
	p.awaitText(".dialogue", "227")
	p.awaitText("#pinholes td", "11 s") // by itself: what is asked for says 12.5, always
	p.await("document.querySelector('#pinholes td').innerText === '13 s'")

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
	p.awaitText("#sessions", "somebody new")
	p.await("!document.querySelector('#sessions').innerText.includes('big.iso')")
	p.awaitText("article", "when the pinhole was gone")
	p.awaitText("#pinholes .empty", "No open pinholes")
	if !eval[bool](p, "document.querySelectorAll('article')[1].querySelector('.dialogue').checkVisibility()") {
		t.Error("what was open is not, since there is news")
	}
}

func pageStates(t *testing.T, d *desk) {
	daemon := idle()
	p := d.open(t, daemon, light)
	p.awaitText("#state", "Ready")
	set := func(change func(*api.Status)) {
		daemon.mu.Lock()
		defer daemon.mu.Unlock()
		change(&daemon.status)
	}
	set(func(s *api.Status) { s.Services[0].Backends[0].Up = false })
	p.awaitText("#banner", "The last connection to a backend failed:")
	p.awaitText("#banner li", "10.0.0.5:21 of files")
	set(func(s *api.Status) {
		s.Ready, s.NotReady = false, []string{"the accept rule is missing in inet filter forward", "service files listens nowhere"}
	})
	p.awaitText("#state", "Not ready")
	p.awaitText("#banner li", "the accept rule is missing in inet filter forward")
	p.awaitText("#banner li", "service files listens nowhere")
	p.picture("not-ready", "h1")
	set(func(s *api.Status) { s.Draining = true })
	p.awaitText("#state", "Draining")
	p.await("document.title === 'ftpgate: draining'")
}

func pagePending(t *testing.T, d *desk) {
	daemon := example()
	running := &daemon.sessions[0].Transfers[0]
	running.Connected, running.Bytes, running.Rate = false, 0, 0
	pending := daemon.explanations["7.2"]
	pending.ID, pending.Pending = "7.3", true
	daemon.explanations["7.3"] = pending
	p := d.open(t, daemon, light)
	p.expected = func(c string) bool { return strings.Contains(c, "404 (Not Found)") }
	p.awaitText("#sessions .transfer", "waits for its data connection")
	p.do(chromedp.Click(chromedp.CSS("#sessions .transfer button")))
	p.awaitText("#sessions .explanation", "no_syn: The client never dialled 198.51.100.1:61004.")
	p.readable()
	p.picture("pending", "#sessions")
	daemon.mu.Lock()
	delete(daemon.explanations, "7.3")
	daemon.mu.Unlock()
	p.do(chromedp.Click(chromedp.CSS("#sessions .transfer button")), chromedp.Click(chromedp.CSS("#sessions .transfer button")))
	p.awaitText("#sessions .explanation", "No explanation: transfer 7.3: not known, or no longer.")
}

// pagePolicy shows that the policy would stop a script, should the page have a mistake, and that the tests would hear of it.
func pagePolicy(t *testing.T, d *desk) {
	p := d.open(t, idle(), light)
	p.awaitText("#state", "Ready")
	p.expected = func(c string) bool { return strings.HasPrefix(c, "security error") }
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
	p.await("new Promise((done) => setTimeout(done, 0)).then(() => true)")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.complaints) < 3 {
		t.Errorf("the browser complained of %q, want it to of each attempt", p.complaints)
	}
}
