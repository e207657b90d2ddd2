package report

import "slices"

// targets are those of the project, for a machine with two processors.
var targets = slices.Concat(pinholeTargets, relayTargets())

// pinholeTargets are those of data that the kernel carries, and of all else.
var pinholeTargets = []target{
	{measure: "bulk.down.passive.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.down.active.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.up.passive.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.up.active.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.down.passive.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.down.active.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.up.passive.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.up.active.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "transfers.1.reply.p50", over: "kernel", atMost: true, must: 3, aim: 2.2},
	{measure: "transfers.1.reply.p50", over: "haproxy", atMost: true, must: 1.4},
	{measure: "transfers.8.rate", over: "kernel", must: 0.55, aim: 0.75},
	{measure: "transfers.64.rate", over: "kernel", must: 0.55, aim: 0.75},
	{measure: "setups.16.rate", over: "kernel", must: 0.50, aim: 0.65},
	{measure: "probe.reply.p99", over: "kernel", atMost: true, must: 2, aim: 1.3},
	{measure: "idle.9000.pss", atMost: true, must: 16, aim: 6},
	{measure: "idle.9000.noop.p99", over: own, overWhat: "idle.100.noop.p99", atMost: true, must: 1.5},
	{measure: "pinholes.open.60000.p50", over: own, overWhat: "pinholes.open.0.p50", atMost: true, must: 1.2},
	{measure: "pinholes.churn.rate", must: 10_000},
	{measure: "pinholes.churn.lost", atMost: true, must: 0},
	{measure: "pinholes.churn.leftover", atMost: true, must: 0},
	{kind: "audited", measure: "events.all", atMost: true, must: 10},
}

// relayTargets: the relay has to be better than all that copies as it does. How
// near its TLS comes to that of programs without a gateway between them has no
// must.
func relayTargets() (targets []target) {
	for _, way := range []string{"bulk.down.passive", "bulk.down.active", "bulk.up.passive", "bulk.up.active"} {
		targets = append(targets, target{kind: "relay", measure: way + ".rate", over: own, must: 0.6, aim: 1})
		for _, peer := range []string{"modproxy", "suse"} {
			targets = append(targets, target{kind: "relay", measure: way + ".rate", over: peer, must: 1})
		}
	}
	targets = append(targets,
		target{kind: "tls", measure: "tls.down.passive.rate", over: "openssl", aimOnly: true, aim: 1},
		target{kind: "tls", measure: "tls.down.passive.rate", over: "tls-server", aimOnly: true, aim: 1},
		target{kind: "tls", measure: "tls.up.passive.rate", over: "openssl", overWhat: "tls.down.passive.rate", aimOnly: true, aim: 1},
		target{kind: "tls", measure: "tls.up.passive.rate", over: "tls-server", aimOnly: true, aim: 1})
	for _, kind := range []string{"relay", "tls", "tls-both"} {
		targets = append(targets, target{kind: kind, measure: "stalled.200.transfer.pss", atMost: true, must: 96})
	}
	return targets
}
