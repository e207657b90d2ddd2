package proxy

import (
	"crypto/tls"
	"io"
	"testing"
	"time"
)

const cleared = "200 The control connection goes on in clear"

// After CCC both sides speak in clear (RFC 4217 §5). Data stays as agreed.
func TestCCC(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		d := newGateway(t, k.terminate).overTLS(config)
		d.refused("CCC", cleared)
		d.client.unseal()
		d.command("NOOP")
		d.reply("200 in clear")
		d.download(config)
		d.refused("AUTH TLS", "503 TLS has been negotiated already")
		d.leave()
	})
}

// A client may say the next command in the segment that has its close_notify.
func TestCommandBehindCloseNotify(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		d := newGateway(t, k.terminate).overTLS(only(k.client()))
		d.refused("CCC", cleared)
		d.client.wantEnd()
		d.client.wire.keep = true
		if err := d.client.tls.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		d.client.clear()
		d.client.write(string(d.client.wire.kept) + "CWD a\r\nCW")
		d.server.want("CWD a")
		d.client.write("D b\r\n")
		d.server.want("CWD b")
		d.reply("250 a", "250 b")
	})
}

// Some clients say no close_notify and go on in clear at once.
func TestNoCloseNotify(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		d := newGateway(t, k.terminate).overTLS(only(k.client()))
		d.refused("CCC", cleared)
		d.client.wantEnd()
		d.client.clear()
		d.command("CWD a")
		d.reply("250 in clear")
		d.client.Close()
		d.server.wantEnd()
		d.server.Close()
		d.wantEnded(clientClosed)
	})
}

// What came behind CCC within TLS would count as said in clear, or the other way round.
func TestCommandBehindCCC(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).overTLS(k.client())
	d.client.send("CCC", "DELE a")
	d.client.want(cleared)
	d.wantInjection()
}

// REIN ends TLS and the login (RFC 4217 §13). It can begin anew, and data resumes
// what there is then.
func TestREIN(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		d := newGateway(t, k.terminate).overTLS(config)
		d.command("REIN")
		d.reply("220 anew")
		d.client.unseal()
		d.refused("PROT P", "503 Without AUTH there is no protection to negotiate")
		d.authTLS(config)
		d.logIn()
		d.protect()
		d.download(config)
		d.wantShaken(clientControl, 2, 0)
		d.leave()
	})
}

// Implicit TLS lasts as long as the connection.
func TestREINWithImplicitTLS(t *testing.T) {
	k := newKeyring(t)
	config := k.client()
	d := newGateway(t, k.terminate, fromTheFirstByte).connect()
	d.client.mustSecure(tls.Client, config)
	d.reply("220 ready")
	d.logIn()
	d.command("REIN")
	d.reply("220 anew")
	d.logIn()
	d.download(config)
}

// Bytes in clear behind AUTH would count as said within TLS (CVE-2011-0411).
func TestInjectionBehindAUTH(t *testing.T) {
	for name, behind := range map[string]string{"a command": "DELE a\r\n", "part of one": "DEL", "much": "NOOP\r\nNOOP\r\nDELE a\r\n"} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.terminate).greeted()
			d.client.write("AUTH TLS\r\n" + behind)
			d.client.want(accepted)
			d.wantInjection()
		})
	}
}

// A handshake that never comes costs the login's time, and nobody's but its own session's.
func TestHandshakeThatNeverComes(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate, func(_ *Settings, s *Service) { s.Timeouts.Login = short }).greeted()
	d.refused("AUTH TLS", accepted)
	d.client.wantEnd() // without a word, which could not be understood
	d.client.Close()
	d.server.wantGone()
	if cause := d.wantEnded(timedOut)["cause"]; cause != errLogin.Error() {
		t.Errorf("cause %q", cause)
	}
}

// What the server says meanwhile waits for the client, and nothing else does.
func TestReplyDuringTheHandshake(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).greeted()
	d.refused("AUTH TLS", accepted)
	d.server.send("220 one more thing")
	d.eventually("the gateway has read it", d.serverIsRead)
	s := d.session()
	d.eventually("the session is free", func() bool {
		if !s.mu.TryLock() {
			return false
		}
		defer s.mu.Unlock()
		return len(s.held) > 0
	})
	d.client.mustSecure(tls.Client, k.client())
	d.client.want("220 one more thing")
	d.logIn()
}

// A server that floods it is out of its mind.
func TestFloodDuringTheHandshake(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).greeted()
	d.refused("AUTH TLS", accepted)
	block := make([]byte, 4<<10)
	for i := range block {
		block[i] = 'x'
	}
	copy(block, "211-")
	block[len(block)-2], block[len(block)-1] = '\r', '\n'
	for range 10 * maxHeld / len(block) {
		_ = d.server.SetWriteDeadline(time.Now().Add(patience))
		if _, err := d.server.Write(block); err != nil {
			break
		}
	}
	d.client.wantGone()
	d.client.Close()
	d.wantEnded(violated)
}

// A session whose handshake is under way ends at once when it must.
func TestDrainDuringTheHandshake(t *testing.T) {
	for name, begin := range map[string]func(*keyring) *dialogue{
		"explicit": func(k *keyring) *dialogue {
			d := newGateway(k.t, k.terminate).greeted()
			d.refused("AUTH TLS", accepted)
			return d
		},
		"implicit": func(k *keyring) *dialogue {
			d := newGateway(k.t, k.terminate, fromTheFirstByte).connect()
			d.server.send("220 ready")
			d.eventually("the gateway has read it", d.serverIsRead)
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(newKeyring(t))
			done := make(chan struct{})
			go func() { defer close(done); d.Drain() }()
			d.client.wantEnd()
			d.client.Close()
			<-done
			d.wantEnded(drained)
		})
	}
}

// Something else than a ClientHello ends the session.
func TestNoClientHello(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, k.terminate)
	for name, hello := range map[string]string{
		"a command": "USER anna\r\n", "zeros": string(make([]byte, 100)), "a record that is too long": "\x16\x03\x01\xff\xff" + string(make([]byte, 70000)),
		"half a record": "\x16\x03\x01\x00\x50half",
	} {
		t.Run(name, func(t *testing.T) {
			d := g.greeted()
			d.t = t
			d.refused("AUTH TLS", accepted)
			_, _ = io.WriteString(d.client.TCPConn, hello) // it may be refused half-way
			_ = d.client.CloseWrite()
			_ = d.client.SetReadDeadline(time.Now().Add(patience))
			if alert, err := io.ReadAll(d.client.r); err != nil && !isReset(err) || len(alert) > 0 && alert[0] != 21 {
				t.Errorf("the client reads %q, %v", alert, err)
			}
			d.server.wantGone()
			d.wantEnded(noHandshake)
		})
	}
}

// A client that resets in the middle of the handshake takes its session along.
func TestResetDuringTheHandshake(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).greeted()
	d.refused("AUTH TLS", accepted)
	d.client.reset()
	d.server.wantGone()
	d.wantEnded(noHandshake)
}
