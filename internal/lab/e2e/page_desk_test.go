package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// desk is a browser on the gateway host, with one page.
type desk struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex // guards complaints
	complaints []string
}

// openDesk skips where there is no browser.
func openDesk(t *testing.T, l *lab.Lab) *desk {
	t.Helper()
	dir, err := browser.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := debian.Open(dir); err != nil {
		t.Skip(err)
	}
	b, err := browser.Start(t.Context(), l.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	ctx, cancel := remote.NewAllocator(t.Context(), b.Endpoint, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	d := &desk{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, d.hear); err != nil {
		t.Fatal(err)
	}
	return d
}

// hear takes what the browser complains of.
func (d *desk) hear(event any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		d.complaints = append(d.complaints, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		d.complaints = append(d.complaints, "exception: "+e.ExceptionDetails.Text)
	case *page.EventJavascriptDialogOpening:
		d.complaints = append(d.complaints, "dialog: "+e.Message)
	}
}

// innocent checks that nothing ran or was loaded that is not the page's own.
func (d *desk) innocent() {
	d.t.Helper()
	if n := look[int](d, "document.querySelectorAll('script, img, iframe, object, embed, form').length"); n != 1 || look[bool](d, "window.__pwned === true") {
		d.t.Errorf("%d elements can run or load something, want the page's script alone; or something has run", n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.complaints {
		d.t.Errorf("the browser complains: %s", c)
	}
}

func (d *desk) do(steps ...chromedp.Action[chromedp.Void]) {
	d.t.Helper()
	if err := chromedp.Do(d.ctx, steps...); err != nil {
		d.t.Fatal(err)
	}
}

func look[T any](d *desk, expression string) T {
	d.t.Helper()
	v, err := chromedp.Run(d.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		d.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true.
func (d *desk) await(expression string) {
	d.t.Helper()
	if _, err := chromedp.Run(d.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		d.t.Fatalf("%s: %v\n%s", expression, err, look[string](d, "document.body.innerText.slice(0, 5000)"))
	}
}

// shows waits until the page shows a text somewhere.
func (d *desk) shows(selector, text string) {
	d.t.Helper()
	d.await(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

// picture keeps how the page looks, for people: in the folder FTPGATE_SCREENSHOTS,
// or among the test's artifacts.
func (d *desk) picture(name, from string) {
	d.t.Helper()
	dir := os.Getenv("FTPGATE_SCREENSHOTS")
	if dir == "" {
		dir = d.t.ArtifactDir()
	}
	look[bool](d, fmt.Sprintf("document.querySelector(%q).scrollIntoView({behavior: 'instant'}), true", from))
	png, err := chromedp.Run(d.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		d.t.Fatal(err)
	}
	if len(png) < 10_000 {
		d.t.Errorf("the picture %s has %d bytes: there is nothing on it", name, len(png))
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		d.t.Error(err)
	}
}
