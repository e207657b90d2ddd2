package ftpd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/pki"
)

// loopback is this process's own network.
type loopback struct{}

func (loopback) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (loopback) Listen(network, addr string) (net.Listener, error) { return net.Listen(network, addr) }

// serve starts a server with TLS on loopback and returns its address and what its clients need to know.
func serve(t *testing.T, s *ftpd.Server) (addr string, config *tls.Config) {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(pki.Request{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
}

// secured is a client that has made TLS, logged in and protects its data.
func secured(t *testing.T, addr string, config *tls.Config) *ftpc.Client {
	t.Helper()
	c, err := ftpc.Dial(loopback{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Auth(config, ""); err != nil {
		t.Fatal(err)
	}
	loginProtected(t, c)
	return c
}

func loginProtected(t *testing.T, c *ftpc.Client) {
	t.Helper()
	if err := c.Protect(); err != nil {
		t.Fatal(err)
	}
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
}

func setUp(t *testing.T, c *ftpc.Client, mode string) *ftpc.Data {
	t.Helper()
	d, err := c.SetUp(mode)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wants fails the test unless an error says something.
func wants(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q", err, text)
	}
}

func TestProtectedTransfersInEveryModeAndVersion(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, implicit := range []bool{false, true} {
			files := ftpd.NewTree()
			addr, config := serve(t, &ftpd.Server{Files: files, RequireTLS: true, RequireResumption: true, Implicit: implicit})
			config.MaxVersion = version
			c := session(t, addr, config, implicit)
			for _, mode := range []string{"PASV", "EPSV", "PORT", "EPRT"} {
				if err := c.Upload(setUp(t, c, mode), "STOR /up", content); err != nil {
					t.Fatalf("%x %s: %v", version, mode, err)
				}
				got, err := c.Download(setUp(t, c, mode), "RETR /up")
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%x %s: got %d bytes (%v), want %d", version, mode, len(got), err, len(content))
				}
				if err := c.Upload(setUp(t, c, mode), "STOR /empty", nil); err != nil {
					t.Errorf("%x %s: nothing: %v", version, mode, err)
				}
			}
		}
	}
}

func session(t *testing.T, addr string, config *tls.Config, implicit bool) *ftpc.Client {
	t.Helper()
	if !implicit {
		return secured(t, addr, config)
	}
	c, err := ftpc.DialTLS(loopback{}, addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	loginProtected(t, c)
	return c
}

func TestDataThatDoesNotResumeItsOwnSessionIsRefused(t *testing.T) {
	files := ftpd.NewTree()
	addr, config := serve(t, &ftpd.Server{Files: files, RequireResumption: true})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		c, other := secured(t, addr, config), secured(t, addr, config)
		for name, data := range map[string]*tls.Config{"of nobody": config, "of another client": other.Resuming()} {
			c.DataTLS = data
			if err := c.Upload(setUp(t, c, "PASV"), "STOR /stolen", []byte("x")); err == nil || !strings.Contains(err.Error(), "522") {
				t.Errorf("%x, a session %s: %v, want 522", version, name, err)
			}
		}
		c.DataTLS = nil
		wants(t, c.Upload(setUp(t, c, "PASV"), "STOR /stolen", []byte("no TLS at all")), "522")
		c.DataTLS = c.Resuming()
		if _, err := c.Download(setUp(t, c, "PASV"), "LIST"); err != nil {
			t.Errorf("%x, its own: %v", version, err)
		}
	}
	if _, err := files.Get("/stolen"); err == nil {
		t.Error("the file was stored")
	}
}

func TestControlConnectionLeavesTLSAndComesBack(t *testing.T) {
	addr, config := serve(t, &ftpd.Server{Files: ftpd.NewTree(), RequireTLS: true})
	c := secured(t, addr, config)
	if err := c.Clear(); err != nil { // RFC 4217 section 5
		t.Fatal(err)
	}
	if _, err := c.Download(setUp(t, c, "PASV"), "LIST"); err != nil {
		t.Errorf("data is protected still: %v", err)
	}
	if err := c.Must(2, "REIN"); err != nil {
		t.Fatal(err)
	}
	wants(t, c.Must(2, "PWD"), "530")
	for range 2 { // TLS anew, which REIN ends
		if err := c.Auth(config, ""); err != nil {
			t.Fatal(err)
		}
		loginProtected(t, c)
		if err := c.Must(2, "REIN"); err != nil {
			t.Fatal(err)
		}
		if err := c.Expose(); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, c.Login(), "530") // no TLS, no login
}

// What a client says behind its close_notify, in the same segment, is in clear and counts.
func TestCommandRightBehindTheEndOfTLS(t *testing.T) {
	addr, config := serve(t, &ftpd.Server{Files: ftpd.NewTree()})
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	held := &holding{Conn: tcp}
	c := fromConn(t, held)
	if err := c.Auth(config, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Must(2, "CCC"); err != nil {
		t.Fatal(err)
	}
	held.hold = true
	if err := c.Conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = tcp.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := tcp.Write(append(held.kept, "FEAT\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.Conn); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(tcp, answer); err != nil || string(answer) != "211-" {
		t.Errorf("got %q (%v), want the reply to FEAT", answer, err)
	}
}

// holding keeps what is written.
type holding struct {
	net.Conn
	hold bool
	kept []byte
}

func (h *holding) Write(b []byte) (int, error) {
	if h.hold {
		h.kept = append(h.kept, b...)
		return len(b), nil
	}
	return h.Conn.Write(b)
}

// one is a network in which one connection has been made.
type one struct{ net.Conn }

func (o one) Dial(context.Context, string, string) (net.Conn, error) { return o.Conn, nil }
func (one) Listen(string, string) (net.Listener, error)              { return nil, net.ErrClosed }

func fromConn(t *testing.T, conn net.Conn) *ftpc.Client {
	t.Helper()
	c, err := ftpc.Dial(one{conn}, conn.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInjectionBehindAUTHEndsTheSession(t *testing.T) {
	addr, config := serve(t, &ftpd.Server{Files: ftpd.NewTree()})
	c, err := ftpc.Dial(loopback{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wants(t, c.Auth(config, "USER demo\r\n"), "421")
}

func TestTruncatedUploadIsNotStored(t *testing.T) {
	files := ftpd.NewTree()
	addr, config := serve(t, &ftpd.Server{Files: files})
	c := secured(t, addr, config)
	c.Truncate = true
	wants(t, c.Upload(setUp(t, c, "PASV"), "STOR /half", []byte("half of it")), "426")
	if _, err := files.Get("/half"); err == nil {
		t.Error("the half was stored")
	}
}

func TestQuirks(t *testing.T) {
	files := ftpd.NewTree()
	if err := files.Put("/a", bytes.Repeat([]byte("a"), 100_000)); err != nil {
		t.Fatal(err)
	}
	addr, config := serve(t, &ftpd.Server{Files: files, Quirks: ftpd.Quirks{
		Says:     map[string]string{"EPSV": "502 No.", "FEAT": "211 None."},
		Truncate: 70_000,
	}})
	c := secured(t, addr, config)
	_, err := c.SetUp("EPSV")
	wants(t, err, "502 No.")
	if r, err := c.Do("FEAT"); err != nil || r.Last() != "211 None." {
		t.Errorf("FEAT: %v %v", r, err)
	}
	got, err := c.Download(setUp(t, c, "PASV"), "RETR /a")
	wants(t, err, "without the end of its TLS")
	if len(got) != 70_000 || strings.Contains(err.Error(), "426") {
		t.Errorf("%d bytes and %v, want 70000 and a server that noticed nothing", len(got), err)
	}

	addr, config = serve(t, &ftpd.Server{Files: files, Quirks: ftpd.Quirks{BehindAUTH: "220 Injected\r\n"}})
	if c, err = ftpc.Dial(loopback{}, addr); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wants(t, c.Auth(config, ""), "14 bytes in clear")
}
