package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/browser"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// patience is how long the page may take for what a test waits for.
const patience = 30 * time.Second

// desk is a browser of an administrator, who is a client of the lab, and the listener of the gateway.
type desk struct {
	lab *lab.Lab
	ctx context.Context // has the browser
}

// startDesk skips where there is no browser, or no root to run it in a network of its own.
func startDesk(t *testing.T) *desk {
	t.Helper()
	labtest.NeedRoot(t)
	dir, err := browser.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := debian.Open(dir); err != nil {
		t.Skip(err)
	}
	l := labtest.New(t, lab.Options{})
	b, err := browser.Start(t.Context(), l.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	ctx, cancel := remote.NewAllocator(t.Context(), b.Endpoint, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // a child context is then a tab, not another browser
		t.Fatal(err)
	}
	return &desk{l, ctx}
}

// look is how the page is looked at.
type look struct {
	width, height int64
	dark          bool
	phone         bool
}

var (
	light = look{width: 1280, height: 1200}
	dark  = look{width: 1280, height: 1200, dark: true}
	phone = look{width: 390, height: 844, phone: true}
)

// tab is the page in the browser, and what it complains of.
type tab struct {
	t      *testing.T
	ctx    context.Context
	server *http.Server
	addr   string
	lab    *lab.Lab

	mu         sync.Mutex // guards what follows
	complaints []string
	expected   func(complaint string) bool // complaints that are no fault
}

// open serves the daemon's page and opens it. In the end nothing may have run that is not the page's own script.
func (d *desk) open(t *testing.T, daemon *fake, l look) *tab {
	t.Helper()
	p := &tab{t: t, lab: d.lab, addr: "198.51.100.1:9422"}
	p.serve(daemon)
	ctx, cancel := chromedp.NewContext(d.ctx)
	t.Cleanup(cancel)
	p.ctx = ctx
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	viewport := chromedp.EmulateViewport(l.width, l.height)
	if l.phone {
		viewport = chromedp.EmulateViewport(l.width, l.height, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2))
	}
	p.do(viewport, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}, chromedp.Navigate("http://"+p.addr+"/"))
	t.Cleanup(p.check)
	return p
}

// serve starts to answer, and stop to.
func (p *tab) serve(daemon *fake) {
	p.t.Helper()
	ln, err := p.lab.Gateway.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = &http.Server{Handler: New(Options{Reader: daemon})}
	go func(s *http.Server, ln net.Listener) { _ = s.Serve(ln) }(p.server, ln) // ends with stop
	p.t.Cleanup(p.stop)
}

func (p *tab) stop() { p.server.Close() }

// hear takes events of the browser that are complaints.
func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		p.complaints = append(p.complaints, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		p.complaints = append(p.complaints, fmt.Sprintf("console.%s at %v", e.Type, e.StackTrace))
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, fmt.Sprintf("exception: %v", e.ExceptionDetails.Text))
	case *page.EventJavascriptDialogOpening:
		p.complaints = append(p.complaints, "dialog: "+e.Message)
	}
}

// check is the end of a tab.
func (p *tab) check() {
	if eval[bool](p, "window.__pwned === true") {
		p.t.Error("a script ran that is not the page's")
	}
	if n := eval[int](p, "document.querySelectorAll('script').length + document.querySelectorAll('img, iframe, object, embed, form').length"); n != 1 {
		p.t.Errorf("there are %d elements that can run or load something, want the page's script alone", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		if p.expected == nil || !p.expected(c) {
			p.t.Errorf("the browser complains: %s", c)
		}
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true.
func (p *tab) await(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", expression, err, eval[string](p, "document.body.innerText.slice(0, 3000)"))
	}
}

// awaitText waits until an element shows a text.
func (p *tab) awaitText(selector, text string) {
	p.t.Helper()
	p.await(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, text))
}

// picture keeps how the page looks, for people: in the folder FTPGATE_SCREENSHOTS, or among the test's artifacts. It is of
// what is seen, from the element on.
func (p *tab) picture(name, from string) {
	p.t.Helper()
	dir := os.Getenv("FTPGATE_SCREENSHOTS")
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	eval[bool](p, fmt.Sprintf("document.querySelector(%q).scrollIntoView({behavior: 'instant'}), true", from))
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if len(png) < 10000 {
		p.t.Errorf("the picture %s has %d bytes: there is nothing on it", name, len(png))
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}
