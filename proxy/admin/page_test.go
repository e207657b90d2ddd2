package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/proxy/api"

	"github.com/chromedp/chromedp"
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
		"numbers":               pageNumbers,
		"policy":                pagePolicy,
	} {
		t.Run(name, func(t *testing.T) { test(t, d) })
	}
}

// idle is a daemon that nobody uses.
func idle() *fake {
	daemon := &fake{status: crowd(0).status}
	daemon.status.Failures, daemon.status.Pinholes, daemon.status.Transfers = 0, 0, 0
	for i := range daemon.status.Services {
		s := &daemon.status.Services[i]
		s.Sessions, s.Transfers, s.Pinholes = 0, 0, 0
	}
	for i := range 90 {
		daemon.throughput = append(daemon.throughput, api.Sample{Time: moment.Add(time.Duration(i-89) * 2 * time.Second)})
	}
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
	p.AwaitText("#state", "Ready")
	p.AwaitText("#sessions .empty", "No sessions. Clients connect to 198.51.100.1:21 (files), 10.0.0.1:2121 (outbound), [fd00:10::1]:2121 (outbound).")
	p.AwaitText("#failures .empty", "No failed transfers")
	p.AwaitText("#pinholes .empty", "No open pinholes")
	p.AwaitText("#chart .legend", "0 B/s")
	p.AwaitText("#services", "10.0.0.5:21")
	if text := eval[string](p, "document.getElementById('banner').innerText"); text != "" {
		p.t.Errorf("all is well, and the banner says %q", text)
	}
	if eval[bool](p, "document.querySelector('#filter').checkVisibility()") {
		p.t.Error("there is a filter, and nothing to filter")
	}
	p.fits()
	p.readable()
	p.Picture(name, "h1")
}

func pageExample(p *tab, name string) {
	p.AwaitText("#sessions", "RETR /pub/big.iso")
	for selector, texts := range map[string][]string{
		"#state":    {"Draining"},
		"#banner":   {"1 session left.", "draining: sessions go on, new ones are refused (ftpgate undrain ends that)"},
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
	p.Picture(name, "h1")
	p.Do(chromedp.Click(chromedp.CSS("article > button")))
	p.AwaitText(".dialogue", "227 Entering Passive Mode (198,51,100,1,238,76)")
	p.AwaitText("article .explanation", "nobody dialled it")
	p.AwaitText("article .explanation", "expired PASV for 198.51.100.7 to dial 198.51.100.1:61004, to 10.0.0.5:40001")
	p.AwaitText(".dialogue time", "\u221221.000 s")
	p.fits()
	p.readable()
	p.Picture(name+"-failure", "#failures")
	for _, width := range []int64{1024, 768, 481, 480, 320} {
		p.Do(chromedp.EmulateViewport(width, 900))
		p.Await(fmt.Sprintf("innerWidth === %d && document.querySelector('#chart svg').clientWidth < innerWidth", width))
		p.fits()
	}
}

func pageLoad(p *tab, name string) {
	p.AwaitText("#sessions .note", "the 200 most active are shown, 800 are not: use the filter")
	if n := eval[int](p, "document.querySelectorAll('#sessions tbody').length"); n != 200 {
		p.t.Errorf("%d sessions are shown, want 200", n)
	}
	p.Picture(name, "h1")
	p.Picture(name+"-failures", "#failures")
	p.Picture(name+"-sessions", "#sessions")

	// Each name is there, as text, with what cannot be seen made visible.
	users := eval[[]string](p, "[...document.querySelectorAll('#sessions td[data-label=User]')].map((e) => e.textContent)")
	paths := eval[[]string](p, "[...document.querySelectorAll('#sessions .path')].map((e) => e.textContent)")
	for _, name := range hostile {
		if !slices.Contains(users, brief(name)) {
			p.t.Errorf("no session shows the user %.80q", brief(name))
		}
		if !slices.Contains(paths, brief("RETR /pub/"+name)) {
			p.t.Errorf("no session shows the path %.80q", brief("RETR /pub/"+name))
		}
	}
	p.Do(chromedp.Click(chromedp.CSS("article > button")))
	p.Await("document.querySelectorAll('.dialogue li').length > 0")
	lines := eval[[]string](p, "[...document.querySelectorAll('.dialogue li > .peer:nth-of-type(1)')].map((e) => e.textContent)")
	var want []string
	for _, name := range hostile {
		want = append(want, visible("RETR "+name))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		p.t.Errorf("the lines of the explanation (-want +got):\n%s", diff)
	}
	p.Picture(name+"-explanation", "article .explanation")
	p.fits()
	p.readable()
}

var unseen = regexp.MustCompile("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]")

// visible says how the page shows a name of the tests.
func visible(name string) string {
	return unseen.ReplaceAllStringFunc(name, func(s string) string { return fmt.Sprintf("‹U+%04X›", []rune(s)[0]) })
}

// brief is visible for lists, which show the beginning.
func brief(name string) string {
	if len(name) > 300 {
		name = name[:300] + "…"
	}
	return visible(name)
}
