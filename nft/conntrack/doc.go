// Package conntrack speaks the few conntrack messages that a gateway needs:
// get, delete and dump TCP flows, and follow the flows that carry a mark.
//
// A Flow has two tuples: Orig is what the first packet had on arrival, Reply
// what answers have before they are translated back. Byte and packet counters
// are those of IP packets. They are there only if EnableAccounting came before
// the flow began, and in an event only when the flow is destroyed.
//
// Dial, Listen and EnableAccounting act in the network namespace of the calling
// thread.
package conntrack
