// Package proxy owns the sessions of the gateway: it accepts control
// connections, dials backends, lets an alg.Machine judge each line and carries
// out what it says, pinholes first.
//
//	server := proxy.NewServer(proxy.Options{Firewall: table, Metrics: metrics, Logger: log})
//	err := server.Reload(settings) // begins to serve; again: other settings for new sessions
//	server.Run(ctx)                // upkeep, until ctx ends
//	server.Drain()                 // stops, and lets running transfers end
//
// A session has one lock and two goroutines, one per direction: each reads,
// takes the lock, steps the machine, carries out the verdict and writes. No
// line passes through a channel. A writer that a peer holds up holds up its
// own session alone, and no longer than TCP's user timeout.
//
// The kernel carries data connections through pinholes of package nft, and
// Server.Connected says when one has begun. Where it cannot (TLS ends here, two
// address families meet), a pinhole leads to the relay: ListenRelay, and
// package relay.
package proxy
