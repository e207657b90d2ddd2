package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"ftpgate/internal/config"
	"ftpgate/internal/replay"
	"ftpgate/proxy"

	"github.com/spf13/cobra"
)

// replayFlags are what replay was told.
type replayFlags struct {
	config, service                 string
	client, gateway, inside, server string
	controlPorts                    []string
	ports                           string
	session                         int
	json                            bool
}

func newReplay() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Say what the gateway would do with a recorded dialogue, offline",
		Long: "replay reads an FTP dialogue from FILE (- is standard input) and says of each line what the gateway\n" +
			"would do with it: passed on, rewritten, refused, and which pinholes it opens and closes. It needs no\n" +
			"daemon, no network and no privileges. FILE is text, as clients log it or with \"C: PASV\" and \"S: 227 …\",\n" +
			"or a capture (pcap, pcapng). Leased ports are the first free ones; the daemon's are unpredictable.\n" +
			"Status 0: nothing is refused. 1: the gateway would have refused something or ended a session, or FILE\n" +
			"could not be read, as a whole or in part. 2: wrong use. See docs/replay.md.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := f.options(c)
			if err != nil {
				return err
			}
			return f.run(c, args[0], options)
		},
	}
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration `FILE` with the service (none: a plain reverse service; with --service: "+defaultConfig+")")
	c.Flags().StringVar(&f.service, "service", "", "`NAME` of the service whose settings apply (needless where there is but one)")
	c.Flags().StringVar(&f.client, "client", "", "the client's `ADDRESS` (as captured, else 198.51.100.7)")
	c.Flags().StringVar(&f.gateway, "gateway", "", "`ADDRESS` that the client dials (the service's, else 198.51.100.1)")
	c.Flags().StringVar(&f.inside, "inside", "", "`ADDRESS` of the gateway that the server sees (the service's, else 10.0.0.1)")
	c.Flags().StringVar(&f.server, "server", "", "the server's `ADDRESS` (as captured, else the service's, else 10.0.0.5)")
	c.Flags().StringSliceVar(&f.controlPorts, "port", []string{"21"}, "captures: `PORT` of the servers' control connections, more than once for several")
	c.Flags().StringVar(&f.ports, "ports", "", "`RANGE` of ports to lease for passive data (the service's, else 61000-64999)")
	c.Flags().IntVar(&f.session, "session", 0, "only session `N` of the recording")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON, one object a line")
	return c
}

// run plays the file.
func (f *replayFlags) run(c *cobra.Command, path string, options replay.Options) error {
	in := c.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return failure{fmt.Errorf("open the recording: %w", err)}
		}
		defer file.Close()
		in = file
	}
	printer := replay.NewPrinter(c.OutOrStdout(), f.json)
	summary, err := replay.Run(in, options, printer.Print)
	if werr := printer.Flush(); werr != nil {
		return failure{fmt.Errorf("write what was found: %w", werr)}
	}
	switch {
	case err != nil:
		return failure{fmt.Errorf("read the recording %s: %w", path, err)}
	case summary.Findings():
		return failure{errors.New("")} // what was printed says it all
	}
	return nil
}

// options checks the flags. What is wrong with the configuration is a failure,
// anything else wrong use.
func (f *replayFlags) options(c *cobra.Command) (o replay.Options, err error) {
	for _, a := range []struct {
		flag, value string
		addr        *netip.Addr
	}{{"client", f.client, &o.Client}, {"gateway", f.gateway, &o.Gateway}, {"inside", f.inside, &o.Inside}, {"server", f.server, &o.Server}} {
		if a.value == "" {
			continue
		}
		if *a.addr, err = netip.ParseAddr(a.value); err != nil || a.addr.Zone() != "" {
			return o, fmt.Errorf("--%s: %q is not an address", a.flag, a.value)
		}
		*a.addr = a.addr.Unmap()
	}
	if o.Client.IsValid() && o.Gateway.IsValid() && o.Client.Is4() != o.Gateway.Is4() {
		return o, errors.New("--client and --gateway: one is IPv4, the other IPv6, so the client cannot dial it")
	}
	for _, text := range f.controlPorts {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return o, fmt.Errorf("--port: %q is not a port", text)
		}
		o.ControlPorts = append(o.ControlPorts, uint16(port))
	}
	if o.Session = f.session; f.session < 0 {
		return o, errors.New("--session: sessions are counted from 1")
	}
	settings, err := f.settings(c.ErrOrStderr())
	if err != nil {
		return o, err
	}
	if o.Service, err = f.choose(settings); err != nil {
		return o, err
	}
	for _, svc := range settings.Services {
		o.Own = append(o.Own, svc.Listen...)
	}
	if f.ports != "" {
		o.Service.Ports, err = parsePorts(f.ports)
	}
	return o, err
}

// settings are those of the configuration, or of a plain service that does not
// know TLS.
func (f *replayFlags) settings(stderr io.Writer) (proxy.Settings, error) {
	path := f.config
	if path == "" && f.service != "" {
		path = defaultConfig
	}
	if path != "" {
		file, err := load(path, stderr)
		if err != nil {
			return proxy.Settings{}, failure{err}
		}
		return file.Settings, nil
	}
	const plain = "[[service]]\nname = \"plain\"\nlisten = [\"198.51.100.1:21\", \"[2001:db8:1::1]:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n"
	file, problems := config.Parse([]byte(plain))
	if len(problems) > 0 {
		return proxy.Settings{}, failure{fmt.Errorf("the plain service: %s", problems[0].Text)}
	}
	return file.Settings, nil
}

// choose returns the service that was asked for.
func (f *replayFlags) choose(settings proxy.Settings) (proxy.Service, error) {
	var names []string
	for _, svc := range settings.Services {
		if svc.Name == f.service || f.service == "" && len(settings.Services) == 1 {
			return svc, nil
		}
		names = append(names, svc.Name)
	}
	if f.service == "" {
		return proxy.Service{}, fmt.Errorf("the configuration has %d services: say --service, one of %s", len(names), strings.Join(names, ", "))
	}
	return proxy.Service{}, fmt.Errorf("--service: there is no %q in the configuration, but %s", f.service, strings.Join(names, ", "))
}

func parsePorts(text string) (proxy.PortRange, error) {
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if err != nil || err2 != nil || from == 0 || from > to {
		return proxy.PortRange{}, fmt.Errorf("--ports: %q is not a range: write FIRST-LAST, e.g. 61000-64999", text)
	}
	return proxy.PortRange{First: uint16(from), Last: uint16(to)}, nil
}
