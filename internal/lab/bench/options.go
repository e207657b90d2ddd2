package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"ftpgate/internal/lab/bench/stand"

	"golang.org/x/sys/unix"
)

// options is what the command line says.
type options struct {
	kinds    []stand.Kind
	measures []string // first words of measures; empty: all
	rounds   int
	seconds  float64 // of each rate
	bytes    int64   // of each bulk transfer
	noops    int
	idle     []int // numbers of idle sessions
	stalled  int   // number of transfers that stand still
	pinholes []int // numbers of open pinholes
	out      string
	program  string
}

// quick and full are the two usual runs.
var (
	quick = options{rounds: 3, seconds: 1, bytes: 1 << 30, noops: 2000, idle: []int{100, 1000}, stalled: 200, pinholes: []int{0, 10_000}}
	full  = options{rounds: 6, seconds: 2, bytes: 2 << 30, noops: 10_000, idle: []int{100, 1000, 9000}, stalled: 200,
		pinholes: []int{0, 1000, 10_000, 60_000}}
)

// quickKinds are the kinds that need nothing but the kernel and this repository.
const quickKinds = stand.Forward + "," + stand.Kernel + "," + stand.FTPGate + "," + stand.Relay + "," + stand.TLSServer + "," + stand.TLS

func parseOptions(args []string) (options, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var names []string
	for _, k := range stand.Kinds {
		names = append(names, k.Name)
	}
	isQuick := flags.Bool("quick", false, "the main measures of "+quickKinds+", in three minutes")
	kinds := flags.String("kinds", strings.Join(names, ","), "what to measure")
	measures := flags.String("measures", "", "which of "+strings.Join(measureNames(), ",")+" (default all)")
	rounds := flags.Int("rounds", 0, "how often (default 6, 3 with --quick)")
	seconds := flags.Float64("seconds", 0, "length of each rate (default 2, 1 with --quick)")
	out := flags.String("out", "", "folder for results.jsonl and the curves (default none)")
	program := flags.String("ftpgate", "", "the daemon (default: built from this repository)")
	if err := flags.Parse(args); err != nil {
		return options{}, usage(err)
	}
	if flags.NArg() > 0 {
		return options{}, complain("bench takes no arguments, got %q", flags.Args())
	}

	o := full
	if *isQuick {
		o = quick
		if !isSet(flags, "kinds") {
			*kinds = quickKinds
		}
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	if *seconds > 0 {
		o.seconds = *seconds
	}
	o.out, o.program = *out, *program
	return o, o.choose(*kinds, *measures, names)
}

// choose sets the kinds and measures from their names.
func (o *options) choose(kinds, measures string, known []string) error {
	for _, name := range strings.Split(kinds, ",") {
		i := slices.Index(known, name)
		if i < 0 {
			return complain("no kind %q: there are %s", name, strings.Join(known, ", "))
		}
		o.kinds = append(o.kinds, stand.Kinds[i])
	}
	if measures == "" {
		return nil
	}
	o.measures = strings.Split(measures, ",")
	for _, name := range o.measures {
		if !slices.Contains(measureNames(), name) {
			return complain("no measure %q: there are %s", name, strings.Join(measureNames(), ", "))
		}
	}
	return nil
}

func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// usage makes an error of flag's, which has been shown, one for the exit status.
func usage(err error) error {
	if err == flag.ErrHelp {
		return err
	}
	return errUsage
}

func complain(format string, args ...any) error {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
	return errUsage
}

// sessionsFit lowers the numbers of idle sessions to what the limit on open
// files allows: a gateway has two for each.
func (o *options) sessionsFit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	// Set so, children get it too; without it Go gives them what it was given.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", limit.Max, err)
	}
	const others = 1200 // HAProxy's static ports, and what everybody has
	fit := int(min(limit.Max, 1<<20)-others) / 2
	o.idle = slices.DeleteFunc(slices.Clone(o.idle), func(n int) bool {
		if n > fit {
			fmt.Fprintf(os.Stderr, "bench: %d sessions are left out: the limit of %d open files allows %d\n", n, limit.Max, fit)
		}
		return n > fit
	})
	return nil
}
