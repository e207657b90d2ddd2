// Command fetch gets what the end-to-end tests run, from Debian's packages into the cache folder of the repository: FTP
// servers and clients, a browser, and Prometheus. It is fast when they are there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"ftpgate/internal/lab/browser"
	"ftpgate/internal/lab/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := debian.CacheDir()
	if err != nil {
		return err
	}
	if _, err := debian.Fetch(ctx, dir, os.Stderr); err != nil {
		return err
	}
	if dir, err = debian.PrometheusDir(); err != nil {
		return err
	}
	if _, err := debian.FetchSet(ctx, debian.Prometheus, dir, os.Stderr); err != nil {
		return err
	}
	// Not every release has the browser as a package, and only the tests of the status page need it.
	if err := browser.Fetch(ctx, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "no browser, so the tests of the status page will be skipped: %v\n", err)
	}
	return ctx.Err()
}
