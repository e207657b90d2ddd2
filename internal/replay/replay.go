// Package replay says what the gateway would do with an FTP dialogue that was
// recorded somewhere: without a daemon, a network or privileges.
//
// A recording is text, as a person writes it or a client logs it, or a capture
// of packets (pcap, pcapng). Either is read into dialogues, one for each control
// connection; each dialogue is played to a machine of package alg, under the
// settings of a service, and every line comes out as an Event with what would
// have become of it:
//
//	summary, err := replay.Run(file, replay.Options{Service: service}, func(e replay.Event) { … })
//
// A recording is of one course of events, and the gateway may have taken another:
// it refuses a command that the server has answered in the recording, or asks
// the server something else. Then the server's answer is left out or read as the
// one to what would have been asked, and the event says so. What the client would
// have done next nobody knows; what it did is played.
//
// Be aware:
//   - Leased ports are the first free ones of their range. The daemon takes
//     unpredictable ones.
//   - A name in advertise is not resolved.
//   - Sessions that name their server (USER user@host) are played as if they had
//     come to it by interception.
//   - Where bytes are missing nothing is guessed: the machine begins anew behind them.
package replay

import (
	"errors"
	"io"
	"net/netip"

	"ftpgate/proxy"
)

// Options says under which settings a recording is played. The addresses are
// those of the capture where it has them, else of the service, else of the
// documentation; an address that is set overrules all of these.
type Options struct {
	Service proxy.Service
	Own     []netip.AddrPort // the listeners of all services: no pinhole leads to one

	Client  netip.Addr // who dials
	Gateway netip.Addr // what the client dials
	Inside  netip.Addr // what the server sees of the gateway
	Server  netip.Addr // who is dialled

	ControlPorts []uint16 // captures: where servers listen; empty: 21
	Session      int      // the only one to play, by its number; 0: all
}

// ErrNoDialogue says that a recording has no dialogue in it.
var ErrNoDialogue = errors.New("there is no FTP dialogue in it")

// Run plays a recording and hands out what happens, in order; the last event is
// the summary, which it returns too. An error is of reading: what was read
// before it has been played.
func Run(r io.Reader, o Options, emit func(Event)) (Summary, error) {
	found, err := read(r, o)
	sum := Summary{Refusals: map[string]int{}, Unread: found.bad}
	for i := range found.dialogues {
		if o.Session == 0 || o.Session == i+1 {
			newPlayer(o, i+1, found.dialogues[i], &sum, emit).play()
		}
	}
	for _, text := range found.notes {
		emit(Event{Note: &Note{Text: text}})
	}
	if err == nil && sum.Sessions == 0 {
		err = ErrNoDialogue
		if n := len(found.dialogues); n > 0 {
			err = noSession(o.Session, n)
		}
	}
	if sum.Sessions > 0 {
		emit(Event{Summary: &sum})
	}
	return sum, err
}
