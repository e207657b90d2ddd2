package proxy

import (
	"log/slog"
	"net/netip"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/cause"
)

// write makes the record of a transfer: for the audit log, the metrics, the log
// and, if it failed, for who asks why.
func (l *ledger) write(e *ending, c counted) {
	var v cause.Verdict
	if !e.done {
		v = l.failed(e, c)
	}
	if l.server.Audit.Off() {
		return
	}
	record := l.record(e, c)
	record.Cause, record.Detail = string(v.Cause), v.Sentence
	l.server.Audit.Write(record)
}

// failed says why a transfer has failed, to all who want to know.
func (l *ledger) failed(e *ending, c counted) cause.Verdict {
	s, t := e.session, e.transfer
	v := cause.Decide(l.evidence(e, c))
	if v.Cause == "" { // nothing else is known than that it failed
		v = cause.Decide(cause.Evidence{Code: 599, Text: e.reply})
	}
	s.service.metrics.transferFailed(v.Cause)
	e.correctFate()
	l.failures.Add(s.client.Addr(), api.Explanation{
		Failure: e.failure(c, v), Evidence: v.Seen, Pinholes: e.fates, Lines: e.lines,
	})
	s.log(slog.LevelInfo, "transfer failed", slog.String("transfer", e.name()), slog.String("command", t.verb.String()),
		slog.String("direction", t.direction.String()), slog.Int("code", e.code), slog.String("cause", string(v.Cause)),
		slog.String("detail", v.Sentence))
	return v
}

// record is the audit record of a transfer, but for its cause.
func (l *ledger) record(e *ending, c counted) audit.Transfer {
	t := e.transfer
	r := audit.Transfer{
		Time: e.at, Who: e.who, Number: t.number, Verb: t.verb.String(), Path: t.path, Direction: t.direction.String(), ASCII: t.ascii,
		Bytes: c.n, Source: c.source, Started: t.began, Took: e.at.Sub(t.began), Replies: t.replies, Done: e.done, Connect: -1,
	}
	p := t.pinhole
	if p == nil {
		return r
	}
	r.Mode, r.Private, r.Relayed = p.mode.String(), p.private, p.relayed
	if at := p.connectedAt.Load(); at != 0 {
		r.Connect = max(0, time.Unix(0, at).Sub(p.opened))
	}
	var dialler, other audit.Flow
	switch {
	case c.flow != nil:
		o, reply := c.flow.orig, c.flow.last.Reply
		dialler, other = audit.Flow{Src: o.Src, Dst: o.Dst}, audit.Flow{Src: reply.Dst, Dst: reply.Src}
	case c.relay != nil:
		dialler, other = l.tuples(c.relay)
	}
	r.ClientSide, r.ServerSide = dialler, other
	if !p.mode.Passive() {
		r.ClientSide, r.ServerSide = other, dialler
	}
	return r
}

func (e *ending) failure(c counted, v cause.Verdict) api.Failure {
	t := e.transfer
	f := api.Failure{
		ID: e.name(), Time: e.at, Session: e.session.id, Service: e.who.Service, Client: e.who.Client.String(), User: shown(e.who.User),
		Verb: t.verb.String(), Path: shown(t.path), Direction: t.direction.String(), Reply: shown(e.reply), Bytes: c.n,
		Cause: string(v.Cause), Sentence: v.Sentence, Advice: v.Advice,
	}
	if e.who.Backend.IsValid() {
		f.Backend = e.who.Backend.String()
	}
	if t.pinhole != nil {
		f.Mode = t.pinhole.mode.String()
	}
	return f
}

// evidence gathers what is known of a transfer.
func (l *ledger) evidence(e *ending, c counted) cause.Evidence {
	t := e.transfer
	ev := cause.Evidence{
		Client: e.who.Client.Addr(), Server: e.who.Backend.Addr(), Refusal: failing(t.refusal), Code: e.code, Text: shown(e.reply),
		Aborted: t.aborted, Ended: string(e.ended), Stalled: t.stalled, Bytes: c.n, Now: e.at,
	}
	p := t.pinhole
	if p == nil {
		return ev
	}
	ev.Private = p.private || e.session.serverTLS()
	ev.Passive, ev.At, ev.To, ev.Opened, ev.Revoked = p.mode.Passive(), p.rule.At, p.to, p.opened, p.revoked.Load()
	if p.rule.Peers > 0 {
		ev.Peers, _ = p.rule.From.Prefix(p.rule.Peers) // cannot fail: it was in force
	}
	if at := p.connectedAt.Load(); at != 0 {
		ev.Dialled = time.Unix(0, at)
	}
	switch broke := p.broke.Load(); {
	case p.flow.Load() != nil:
		l.mu.Lock()
		ev.Answer = p.flow.Load().answer()
		l.mu.Unlock()
	case broke != nil:
		ev.Broken = broke.text
		ev.Answer = broke.answer
	case p.carrier.Load() != nil:
		ev.Answer = p.carrier.Load().answer()
	}
	if ev.Refusal == alg.DataBroken.String() {
		ev.Refusal = ""
	}
	if ev.Dialled.IsZero() {
		ev.Strays = l.strays(p.rule.At)
		ev.Replaced = l.misled(e, ev)
		ev.Helper = l.helper(e.session)
	}
	return ev
}

// failing is a refusal as evidence.
func failing(r alg.Reason) string {
	if r == alg.NoReason {
		return ""
	}
	return r.String()
}

// strays are the SYNs to an address of ours that no pinhole has let in.
func (l *ledger) strays(at netip.AddrPort) []cause.Stray {
	all, err := l.server.Firewall.Strays(at)
	if err != nil {
		l.server.Logger.Warn("the kernel could not be asked who dialled in vain; a cause may be wrong", "at", at, "error", err)
	}
	strays := make([]cause.Stray, 0, len(all))
	for _, s := range all {
		strays = append(strays, cause.Stray{From: s.From, At: s.At, Seen: s.Seen})
	}
	return strays
}

// misled are the SYNs of who was expected to what earlier set-ups of the session
// have announced, since the latest.
func (l *ledger) misled(e *ending, ev cause.Evidence) []cause.Stray {
	dialler := ev.Server
	if ev.Passive {
		dialler = ev.Client
	}
	var all []cause.Stray
	for _, at := range e.earlier {
		for _, s := range l.strays(at) {
			if s.From == dialler && !s.Seen.Before(ev.Opened) {
				all = append(all, s)
			}
		}
	}
	return all
}

// earlierSetUps are what the session's earlier pinholes were dialled at, but for
// that of the transfer. The caller holds mu.
func (s *session) earlierSetUps(t *transfer) []netip.AddrPort {
	var all []netip.AddrPort
	for _, p := range s.fates {
		if t.pinhole != nil && p != t.pinhole && p.mode.Passive() == t.pinhole.mode.Passive() && p.rule.At != t.pinhole.rule.At {
			all = append(all, p.rule.At)
		}
	}
	return all
}

// serverTLS reports whether the server's connections have TLS.
func (s *session) serverTLS() bool { return s.serverConn != nil && s.serverConn.config != nil }

// helper is another conntrack helper at one of a session's control connections.
func (l *ledger) helper(s *session) string {
	ends := []conntrack.Tuple{{Src: plain(s.clientConn.LocalAddr()), Dst: s.client}}
	if s.server.IsValid() {
		ends = append(ends, conntrack.Tuple{Src: s.server, Dst: s.inside})
	}
	for _, reply := range ends {
		if f, err := l.server.Flows.GetReply(reply); err == nil && f.Helper != "" {
			return f.Helper
		}
	}
	return ""
}

// correctFate is for a connection that was refused so soon that news of it came
// when its pinhole was closed.
func (e *ending) correctFate() {
	p := e.transfer.pinhole
	if p == nil || !p.connected.Load() {
		return
	}
	for i := range e.fates {
		if f := &e.fates[i]; f.At == p.rule.At.String() && f.Opened.Equal(p.opened) {
			f.Fate, f.Used, f.Remaining = outcomeUsed, true, 0
		}
	}
}

// showFates is what has become of the session's pinholes. The caller holds mu.
func (s *session) showFates() []api.Fate {
	all := make([]api.Fate, 0, len(s.fates))
	for _, p := range s.fates {
		all = append(all, p.show())
	}
	return all
}

// show is a pinhole as people see it. The caller holds its session's lock.
func (p *pinhole) show() api.Fate {
	f := api.Fate{Fate: p.fate, Ended: p.ended, Pinhole: held{p, p.rule, p.expires}.view(time.Now())}
	switch {
	case p.fate != "":
		f.Remaining = 0
	case f.Used:
		f.Fate = outcomeUsed
	default:
		f.Fate = "open"
	}
	return f
}
