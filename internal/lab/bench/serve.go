package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net/netip"
	"runtime/debug"
	"strconv"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/ftpd"
)

// serve is the FTP server under all kinds: one process, files in memory. Its
// arguments are the sizes of files to have.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	advertise := flags.String("advertise", "", "the address of 227")
	first := flags.Uint("first", 0, "first passive port")
	last := flags.Uint("last", 0, "last passive port")
	certificate := flags.String("certificate", "", "file of the certificate; with one it has TLS")
	key := flags.String("key", "", "file of its key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files := ftpd.NewTree()
	if err := files.Put(load.SmallName, make([]byte, load.SmallSize)); err != nil {
		return err
	}
	if err := files.PutSink(load.SinkName); err != nil {
		return err
	}
	for _, arg := range flags.Args() {
		size, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return fmt.Errorf("size of a file: %w", err)
		}
		if err := files.PutZeros(load.ZerosName(size), size); err != nil {
			return err
		}
	}
	s := &ftpd.Server{Files: files, PassivePorts: [2]uint16{uint16(*first), uint16(*last)}}
	if *advertise != "" {
		var err error
		if s.Advertise, err = netip.ParseAddr(*advertise); err != nil {
			return err
		}
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return err
		}
		// Whole records from the first on, as the TLS of other servers has them.
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true}
		s.RequireTLS, s.RequireResumption = true, true
	}
	debug.SetGCPercent(1000) // its garbage is not what is measured
	ln, err := ftpd.Listen(ctx, lab.ServerV4.String()+":21")
	if err != nil {
		return err
	}
	return s.Serve(ctx, ln)
}
