// Package browsertest drives the lab's browser in tests of pages that show what
// strangers have sent: whatever a page is fed, nothing may run but its own script.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/browser"
	"ftpgate/internal/lab/debian"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// patience is how long a page may take for what a test waits for.
const patience = 30 * time.Second

// Start runs a browser on a host of the lab until the test ends, and returns the
// context that has it. It skips where there is none.
func Start(t *testing.T, h *lab.Host) context.Context {
	t.Helper()
	dir, err := browser.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := debian.Open(dir); err != nil {
		t.Skip(err)
	}
	live := context.WithoutCancel(t.Context()) // which ends before the cleanups, of which tabs have one
	b, err := browser.Start(live, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	ctx, cancel := remote.NewAllocator(live, b.Endpoint, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // a child context is then a tab, not another browser
		t.Fatal(err)
	}
	return ctx
}

// Tab is a page in a browser, and what it complains of.
type Tab struct {
	Expected func(complaint string) bool // complaints that are no fault; nil: none

	Ctx context.Context // has the tab

	t          *testing.T
	mu         sync.Mutex // guards what follows
	complaints []string
}

// Open makes a new tab. When the test ends nothing may have run in it that is not
// the page's own script.
func Open(t *testing.T, ctx context.Context) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &Tab{t: t, Ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.check)
	return p
}

// hear takes events of the browser that are complaints.
func (p *Tab) hear(event any) {
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

// Complaints are what the browser has complained of so far.
func (p *Tab) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.complaints)
}

// check is the end of a tab.
func (p *Tab) check() {
	if Eval[bool](p, "window.__pwned === true") {
		p.t.Error("a script ran that is not the page's")
	}
	if n := Eval[int](p, "document.querySelectorAll('script').length + document.querySelectorAll('img, iframe, object, embed, form').length"); n != 1 {
		p.t.Errorf("there are %d elements that can run or load something, want the page's script alone", n)
	}
	for _, c := range p.Complaints() {
		if p.Expected == nil || !p.Expected(c) {
			p.t.Errorf("the browser complains: %s", c)
		}
	}
}

// Do carries out steps of chromedp.
func (p *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.Ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Eval returns what an expression is in the page.
func Eval[T any](p *Tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.Ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Await waits until an expression is true.
func (p *Tab) Await(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.Ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", expression, err, Eval[string](p, "document.body.innerText.slice(0, 5000)"))
	}
}

// AwaitText waits until an element shows a text.
func (p *Tab) AwaitText(selector, text string) {
	p.t.Helper()
	p.Await(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, text))
}

// Picture keeps how the page looks, for people: in the folder FTPGATE_SCREENSHOTS,
// or among the test's artifacts. It is of what is seen, from the element on.
func (p *Tab) Picture(name, from string) {
	p.t.Helper()
	dir := os.Getenv("FTPGATE_SCREENSHOTS")
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	Eval[bool](p, fmt.Sprintf("document.querySelector(%q).scrollIntoView({behavior: 'instant'}), true", from))
	png, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if len(png) < 10_000 {
		p.t.Errorf("the picture %s has %d bytes: there is nothing on it", name, len(png))
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}
