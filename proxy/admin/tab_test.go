package admin

import (
	"context"
	"net"
	"net/http"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/browser/browsertest"
	"ftpgate/internal/lab/labtest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// desk is a browser of an administrator, who is a client of the lab, and the listener of the gateway.
type desk struct {
	lab *lab.Lab
	ctx context.Context // has the browser
}

// startDesk skips where there is no browser, or no root to run it in a network of its own.
func startDesk(t *testing.T) *desk {
	t.Helper()
	labtest.NeedRoot(t)
	l := labtest.New(t, lab.Options{})
	return &desk{l, browsertest.Start(t, l.Client)}
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

// tab is the page in the browser.
type tab struct {
	*browsertest.Tab
	t      *testing.T
	server *http.Server
	addr   string
	lab    *lab.Lab
}

// open serves the daemon's page and opens it.
func (d *desk) open(t *testing.T, daemon *fake, l look) *tab {
	t.Helper()
	p := &tab{t: t, lab: d.lab, addr: "198.51.100.1:9422"}
	p.serve(daemon)
	p.Tab = browsertest.Open(t, d.ctx)
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	viewport := chromedp.EmulateViewport(l.width, l.height)
	if l.phone {
		viewport = chromedp.EmulateViewport(l.width, l.height, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2))
	}
	p.Do(viewport, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}, chromedp.Navigate("http://"+p.addr+"/"))
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

func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	return browsertest.Eval[T](p.Tab, expression)
}
