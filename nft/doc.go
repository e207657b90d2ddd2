// Package nft keeps pinholes in the kernel: one nftables table of static rules
// and dynamic maps. A pinhole admits one TCP connection from one address to one
// address and port, takes it to where it shall go, gives it the source that the
// other side expects, and is gone: consumed by the connection that used it or
// expired. Both happen in the kernel, with or without this process. The package
// knows nothing of what the connections carry.
//
// # The table
//
// Ruleset prints it. Chain pre (and output, for clients on the gateway host)
// jumps to enter, which marks connections to the control listeners and takes a
// SYN that finds its pinhole to the pinhole's target. Chain post (and input,
// for servers on the gateway host) jumps to leave, which deletes the pinhole
// that let the connection in, then sets its source:
//
//	dnat4    who dials, what it dials -> where it goes      one element per pinhole
//	active4  who dials, what it dials -> source and port    pinholes with a source port
//	via4     who dials, what it dials -> source             see below
//	out4     target -> source                               permanent, one per target
//
// and the same for IPv6. A pinhole without a source port leaves its source to
// out4, so that it is one element alone. While open pinholes to its target have
// another source, or out4 is large, it gets an element in via4 instead. One that
// keeps its source is the same with no element in out4.
//
// Each pinhole's address and port is in leased4, and behind enter is a rule by which
// a SYN to one of them that nothing let in leaves its source in stray4: Strays reads
// that. An element of leased4 outlives its pinhole, so that the next one there
// need not write it again.
//
// Cut deletes a connection's flow and puts what it had dialled into cut4, by which
// pre takes what still comes of it to this host.
//
// SetRelay names ports at which only pinholes arrive: the last rule of enter
// drops whoever dials them at an address of this host.
//
// Passes, which are pinholes with Flows, have sets and maps of their own, and
// chain pass, with rules for each number of Flows that was asked for:
//
//	pass4_2   who dials, address dialled, backend            passes of two connections
//	passto4   port dialled -> port and address of backend    declared by SetPass
//	passing4  as pass4_2: the connections that run           kept by the kernel
//	passvia4  as pass4_2 -> source                           as via4
//
// Opening a pass is one element too, however many are open.
//
// Pinholes with Peers have maps of their own for each length of prefix that was
// asked for, wide4_24 and so on: the rules in chain wide cut the source to that
// length and look up what is left, those in wideused delete it in the same way. Sources
// that are not the target's are in widevia4_24, and widekeep4_24 names those that stay.
//
// # Interception
//
// SetIntercept takes connections that others make through this host to listeners of
// ours. Chain pre jumps to intercept behind enter, so that a pinhole goes first; in
// it is a rule for each Intercept and family, with sets of ports, interfaces and
// prefixes that carry the number of the Intercept. In chain input, what has arrived
// at a control listener is accepted before leave is asked: no pinhole let it in.
//
// # Transparent sources
//
// SetTransparent and AddReturnRoute let sockets of ours bear addresses of others:
// chain divert marks what comes for such a socket, policy routing brings it to this
// host, and chain stay keeps an admin's nat from what the socket sends. Both chains
// are there only when asked for.
//
// # Beside other tables
//
// An accept in this table is not final: a chain that drops by default needs one
// rule that accepts our mark. SetAccept keeps that rule at the heads of the chains
// that it is given, tagged with the comment "ftpgate" and the table's name, by which
// it is found again. In tables of iptables-nft the rule is one that iptables shows.
//
// # Whose table it is
//
// Where the kernel can (6.9), the table has an owner and persists: nobody else
// can change it while the Table lives, and it stays when the process dies, so
// that running connections go on. Elsewhere Watch must run: it reinstalls what
// somebody removed. Watch also puts accept rules back.
//
// Be aware:
//
//   - Removing the table cuts running connections when no other nat chain is on
//     the host, because the kernel then unregisters nat. Release leaves the
//     empty table; call Remove only when nothing runs.
//   - SYNs of the same address that arrive within the same microseconds can both
//     pass a pinhole: lookup and deletion are not one step in the kernel.
//   - The connections of passes are counted anew in a table that was put in place
//     anew, and another number of Flows counts for a client once none of its
//     connections to the backend runs.
//   - nft lists rules of passes with a destination address that stands for another;
//     their comments say so.
//   - A second process is kept out by a lock, owner or not: an abstract Unix
//     socket of the table's name. The lock of another user, unless that is root,
//     does not count: anybody could take it. Processes of different users see
//     each other only by the owner.
//   - Open and CloseOrphans act in the network namespace of the calling thread; a
//     Table keeps to the namespace where it was opened.
package nft
