package alg

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// carryOut opens what a verdict asks for and notes everything it says.
func (p *player) carryOut(v Verdict) {
	for v.Open.ID != 0 {
		p.note(v)
		private := map[bool]string{true: " private"}[v.Open.Private]
		if p.refuse != NoReason {
			p.did = append(p.did, fmt.Sprintf("open %d %s %s refused", v.Open.ID, v.Open.Mode, v.Open.To))
			v, p.refuse = p.m.Refused(p.refuse), NoReason
			continue
		}
		at := p.openAt(v.Open)
		p.did = append(p.did, fmt.Sprintf("open %d %s %s at %s%s", v.Open.ID, v.Open.Mode, v.Open.To, at, private))
		v = p.m.Opened(at)
	}
	p.note(v)
}

func (p *player) openAt(o Open) netip.AddrPort {
	addr := "198.51.100.1"
	switch passive := o.Mode.Passive(); {
	case passive && p.cfg.Client.Is6():
		addr = "2001:db8:1::1"
	case !passive && p.cfg.Server.Is6():
		addr = "fd00:10::1"
	case !passive:
		addr = "10.0.0.1"
	}
	port := map[bool]uint16{true: 61000, false: 20000}[o.Mode.Passive()]
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port+uint16(o.ID))
}

// note writes down what a verdict says, in the order of Verdict's fields.
func (p *player) note(v Verdict) {
	p.over = p.over || v.End != NoReason
	p.secured = v.Secure != 0
	if p.check != nil {
		p.check(v)
	}
	if p.raw {
		if len(v.ToServer) > 0 {
			p.did = append(p.did, string(v.ToServer))
		}
		if len(v.ToClient) > 0 {
			p.did = append(p.did, string(v.ToClient))
		}
		return
	}
	say := func(format string, args ...any) { p.did = append(p.did, fmt.Sprintf(format, args...)) }
	for _, c := range v.Close {
		say("close %d %s", c.ID, [...]string{"", "done", "replaced", "aborted"}[c.Why])
	}
	written := func(mark string, b []byte) {
		if s, ok := strings.CutSuffix(string(b), "\r\n"); ok && !strings.HasSuffix(s, " ") && strconv.Quote(s) == `"`+strings.ReplaceAll(s, `"`, `\"`)+`"` {
			say("%s %s", mark, s)
		} else if len(b) > 0 {
			say("%s %q", mark, b)
		}
	}
	written(">", v.ToServer)
	written("<", v.ToClient)
	if v.Wait {
		say("wait")
	}
	if v.Refusal != NoReason {
		say("refused %s", v.Refusal)
	}
	if v.Login != 0 {
		say("login %s", [...]string{"", "ok", "failed"}[v.Login])
	}
	if tr := v.Transfer; tr.Phase != 0 {
		say("transfer %s %s", tr.Direction, [...]string{"", "began", fmt.Sprint("started ", tr.Pinhole), fmt.Sprint("done ", tr.Pinhole), fmt.Sprint("failed ", tr.Pinhole)}[tr.Phase])
	}
	if v.Foreign {
		say("foreign")
	}
	if v.TLSLost {
		say("tls lost")
	}
	if v.Secure != 0 {
		say("tls %s", [...]string{"", "starts", "ends", "goes through"}[v.Secure])
	}
	if v.Restart {
		say("restart")
	}
	if v.End != NoReason {
		say("end %s", v.End)
	}
}
