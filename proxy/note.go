package proxy

import (
	"context"
	"log/slog"
	"time"

	"ftpgate/alg"
)

// note counts and logs what a verdict says has happened.
func (s *session) note(v alg.Verdict) {
	m := s.service.metrics
	if v.Verb != alg.None {
		m.commands[v.Verb].Inc()
		s.saidQuit = s.saidQuit || v.Verb == alg.QUIT
	}
	if class := v.Code / 100; class > 0 && class < len(m.replies) {
		s.lastCode = v.Code
		m.replies[class].Inc()
	}
	if v.Rewrite != 0 {
		m.rewrites[v.Rewrite].Inc()
	}
	if v.Login != 0 {
		m.logins[v.Login].Inc()
	}
	if v.Refusal != alg.NoReason {
		m.refused(v.Refusal.String())
		s.log(slog.LevelDebug, "a line was refused", slog.String("reason", v.Refusal.String()), slog.String("command", v.Verb.String()))
	}
	if v.Foreign {
		s.log(slog.LevelDebug, "the server's 227 names another address; its own is used")
	}
	if v.TLSLost {
		s.noteTLSLost()
	}
	if p := v.Transfer.Phase; p != 0 && p != alg.TransferStarted {
		s.noteTransfer(v)
	}
	s.observe(v)
}

func (s *session) noteTransfer(v alg.Verdict) {
	t, m := v.Transfer, s.service.metrics
	now := s.lastLine
	if t.Phase == alg.TransferBegan {
		if s.running() == 0 {
			s.transfer, s.dataCame = now, false
			if s.phase == open {
				s.timer.Reset(min(s.service.Timeouts.TransferStart, s.service.Timeouts.Idle))
			}
		}
		s.transfers[t.Direction]++
		s.transferring(1)
		m.active[t.Direction].Inc()
		return
	}
	s.transfers[t.Direction]--
	s.transferring(-1)
	m.active[t.Direction].Dec()
	m.transferEnded(t.Direction, t.Phase == alg.TransferDone, now.Sub(s.transfer))
	s.transfer = now
}

// transferring counts data commands that wait for their final reply.
func (s *session) transferring(n int64) {
	s.gateway.transferring.Add(n)
	s.service.tally.running.Add(n)
}

// running returns how many data commands wait for their final reply.
func (s *session) running() int {
	n := 0
	for _, c := range s.transfers {
		n += int(c)
	}
	return n
}

// log writes a line about the session. Nothing that a peer sent is in it but
// what comes from closed sets.
func (s *session) log(level slog.Level, text string, attrs ...slog.Attr) {
	l := s.gateway.Logger
	if !l.Enabled(context.Background(), level) {
		return
	}
	about := []slog.Attr{
		slog.Uint64("sid", s.id), slog.String("service", s.service.Name), slog.String("client", s.client.String()),
	}
	if s.server.IsValid() {
		about = append(about, slog.String("server", s.server.String()))
	}
	l.LogAttrs(context.Background(), level, text, append(about, attrs...)...)
}

// account writes what became of the session, once, at its end.
func (s *session) account() {
	took := time.Since(s.began)
	s.service.metrics.sessionEnded(s.ended, took)
	for d, n := range s.transfers {
		if n > 0 {
			s.service.metrics.active[d].Sub(float64(n))
			s.transferring(-int64(n))
		}
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("result", string(s.ended)), slog.Duration("duration", took)}
	if s.cause != nil {
		attrs = append(attrs, slog.String("cause", s.cause.Error()))
	}
	if s.ended == noBackend {
		level = slog.LevelWarn
	}
	s.log(level, "session ended", attrs...)
	s.auditEnd(took)
}

// logDataBroke says what broke a relayed data connection.
func (s *session) logDataBroke(id alg.ID, err error) {
	s.log(slog.LevelInfo, "a relayed data connection broke", slog.Uint64("pinhole", uint64(id)), slog.String("error", err.Error()))
}

// noteTLSLost says once for each backend that clients could have TLS with it
// and do not get it here.
func (s *session) noteTLSLost() {
	b := s.service.backend(s.server)
	if b == nil || b.offersTLS.Swap(true) {
		return
	}
	s.service.metrics.offersTLS(b.at)
	s.log(slog.LevelWarn, "the backend offers TLS and clients lose it here: write tls.mode = \"terminate\" or \"pass\", or turn it off there")
}
