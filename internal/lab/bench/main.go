// Command bench measures ftpgate side by side with plain forwarding, the
// kernel's FTP helper and other gateways, on this machine, in network
// namespaces. It takes root.
//
//	bench [--quick] [--out DIR] [--kinds LIST] [--measures LIST] [--rounds N]
//
// Every round goes through all measures, and every measure through all kinds,
// so that what the machine does meanwhile hits all alike. What counts are ratios
// within a round; the table shows their medians, and each target met or missed.
// DIR gets results.jsonl, one object per measurement, and the growth curves.
//
// The load generator and the FTP server are this program again, in the
// client's and the server's namespace. All processes and namespaces end with it,
// however it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ftpgate/internal/lab/bench/load"
)

func main() {
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE}
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		ends = ends[:3] // clients that go in the middle of a transfer are no end of the server
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// run is main with an exit status: 0 done, 1 failed, 2 wrong use.
func run(ctx context.Context, args []string) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == "load":
		err = load.Serve(os.Stdin, os.Stdout)
	case len(args) > 0 && args[0] == "serve":
		err = serve(ctx, args[1:])
	default:
		err = bench(ctx, args)
	}
	switch {
	case errors.Is(err, errUsage):
		return 2
	case ctx.Err() != nil && err != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// errUsage is for a command line that flag has complained about.
var errUsage = errors.New("wrong use")

func bench(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return o.bench(ctx)
}
