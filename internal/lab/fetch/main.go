// Command fetch gets the FTP servers and clients that the end-to-end tests run, from Debian's packages into the cache
// folder of the repository. It is fast when they are there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

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
	_, err = debian.Fetch(ctx, dir, os.Stderr)
	return err
}
