// Package rules reads the host's nftables ruleset and walks packets through it:
// what would become of a connection that nobody has made.
//
//	all, err := rules.Read(ctx)
//	for _, c := range all.At(unix.NF_INET_FORWARD) {
//		fate := all.Walk(c, rules.Packet{To: server, In: "wan", Out: "lan", Mark: 0x400})
//		…
//	}
//
// A packet need not be known in full: a client may have any address, a port may
// be one of many. So a rule matches, does not match, or may match. The walk
// follows the path on which rules that only may match do not, and keeps account
// of those that would have led elsewhere.
//
// Rules of iptables-nft are read too, as far as their matches are known here.
//
// Be aware:
//
//   - What is not known (a match of xtables, a limit, a set that is too large to
//     read in time) may match: it never decides anything.
//   - Rules of iptables-legacy are not in nftables, and not seen.
//   - Only chains of the families inet, ip and ip6 are looked at.
//   - Reading takes CAP_NET_ADMIN. It is done in the network namespace of the
//     process.
package rules
