package browser

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

func TestBrowserShowsAPageOfAnotherHost(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	ln, err := l.Gateway.Listen("tcp", "198.51.100.1:80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>a page</title><script>document.title += ', and its script'</script>")
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })

	dir, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := debian.Open(dir); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	b, err := Start(ctx, l.Client)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	ctx, cancel = remote.NewAllocator(ctx, b.Endpoint, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("http://198.51.100.1/")); err != nil {
		t.Fatal(err)
	}
	title, err := chromedp.Run(ctx, chromedp.Title())
	if err != nil {
		t.Fatal(err)
	}
	if want := "a page, and its script"; title != want {
		t.Errorf("the title is %q, want %q", title, want)
	}
}
