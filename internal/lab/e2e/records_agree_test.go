package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// clerk compares what a daemon has written down with what has happened.
type clerk struct {
	*gateway
	t       *testing.T
	records records
	sites   map[string]*site
	servers *onlooker // the lab's own server
	errands []*errand

	again   uint64            // bytes that were sent twice, at most
	sources map[string][2]int // of numbers of bytes: transfers, and those of them that have the right one
}

// Hundreds of transfers in all modes, to several servers, by the kernel and by
// the relay: the records, the metrics, what the command line shows and what
// clients and servers have seen agree, each transfer once.
func TestRecordsAgreeWithReality(t *testing.T) {
	t.Parallel()
	c := newClerk(t)
	c.errandsOfAll()
	c.again = resent(t, c.lab.Client, c.lab.Server)
	c.sessionsShown()
	for _, s := range c.sites {
		if s.service == "proftpd" || s.service == "vsftpd" {
			continue
		}
		c.bytesCounted(s.service)
	}
	c.signal(syscall.SIGTERM) // sessions are idle: all ends, and all is written
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the daemon's end: %v", err)
	}
	found := c.transfers()
	c.sessionsEnded()
	c.xferlog(found)
	for source, n := range c.sources {
		t.Logf("%s: %d of %d transfers have their exact number of bytes; %d were sent twice at most", source, n[1], n[0], c.again)
	}
}

func newClerk(t *testing.T) *clerk {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	ca, outside := labtest.PKI(t)
	files := ftpd.NewTree()
	c := &clerk{t: t, records: newRecords(t), servers: &onlooker{Host: l.Server}, sources: map[string][2]int{}}
	runServer(t, l, &ftpd.Server{Files: files, Listen: c.servers.Listen, Dial: c.servers.DialFrom})
	own := site{root: "/", put: files.Put, get: files.Get, mkdir: files.Mkdir}
	kernel, relay, secured := own, own, own
	kernel.service, kernel.port = "kernel", 21
	relay.service, relay.port = "relay", 2121
	secured.service, secured.port, secured.tls = "tls", 2122, &tls.Config{RootCAs: ca.Pool(), ServerName: lab.WanV4.String()}
	c.sites = map[string]*site{"kernel": &kernel, "relay": &relay, "tls": &secured}

	config := c.records.config() + kernel.config(21, "tls.mode = \"refuse\"") + relay.config(21, "tls.mode = \"refuse\"\ndata = \"relay\"") +
		secured.config(21, certificates{outside: outside}.terminate())
	for i, name := range []string{debian.VSFTPD, debian.ProFTPD} {
		port := uint16(12_100 + 100*i)
		s := onDisk(labtest.StartServer(t, tree, l.Server, name, port))
		s.service, s.port = name, 2123+i
		c.sites[name] = s
		config += s.config(int(port), "tls.mode = \"refuse\"")
	}
	c.gateway = prepareGateway(t, l, config)
	c.start()
	return c
}

// config is the service in front of a site.
func (s *site) config(port int, keys string) string {
	return fmt.Sprintf("[[service]]\nname = %q\nlisten = [%q, %q]\nbackends = [\"10.0.0.5:%d\", \"[fd00:10::5]:%[4]d\"]\n%s\n",
		s.service, s.at(false), s.at(true), port, keys)
}

// onDisk is the site of a real server.
func onDisk(server *debian.Server) *site {
	at := func(name string) string { return filepath.Join(server.Root, path.Clean("/"+name)) }
	return &site{
		tame:  true,
		put:   func(name string, content []byte) error { return os.WriteFile(at(name), content, 0o644) },
		get:   func(name string) ([]byte, error) { return os.ReadFile(at(name)) },
		mkdir: func(name string) error { return os.Mkdir(at(name), 0o755) },
	}
}

// errandsOfAll runs two sessions for each site and family, all at once, and
// leaves them logged in.
func (c *clerk) errandsOfAll() {
	c.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var sessions sync.WaitGroup
	var ports sync.Map
	number := 0
	for _, name := range []string{"kernel", "relay", "tls", debian.VSFTPD, debian.ProFTPD} {
		for range 2 {
			for _, v6 := range []bool{false, true} {
				modes := []string{"PASV", "EPSV", "PORT", "EPRT"}
				if v6 {
					modes = []string{"EPSV", "EPRT"}
				}
				s := c.sites[name]
				mine := s.plan(rng, number, modes)
				number++
				c.errands = append(c.errands, mine...)
				for _, e := range mine {
					if err := s.furnish(e); err != nil {
						c.t.Fatal(err)
					}
				}
				w := &onlooker{Host: c.lab.Client, others: &ports}
				client := s.login(c.t, w, v6)
				sessions.Go(func() {
					for _, e := range mine {
						if err := s.do(client, w, e); err != nil {
							c.t.Errorf("%s, %s: %v", e.service, e.mode, err)
							return
						}
					}
				})
			}
		}
	}
	sessions.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// transfers compares the records of transfers with the errands, one to one, and
// returns them by their path.
func (c *clerk) transfers() map[string]line {
	c.t.Helper()
	all := audited(c.t, "transfer", c.records.json)
	if len(all) != len(c.errands) {
		c.t.Errorf("%d transfers are recorded, want %d", len(all), len(c.errands))
	}
	found, ids := map[string]line{}, map[string]bool{}
	var servers []pair
	for _, r := range all {
		if _, twice := found[r.Path]; twice || ids[r.ID] {
			c.t.Errorf("%s is recorded twice: %q", r.ID, r.Path)
		}
		found[r.Path], ids[r.ID] = r, true
		if !c.sites[r.Service].tame {
			servers = append(servers, r.ServerData)
		}
	}
	for _, e := range c.errands {
		r, ok := found[e.path]
		if !ok {
			c.t.Errorf("%s %q has no record", e.verb, e.path)
			continue
		}
		if wrong := c.compare(e, r); wrong != nil {
			c.t.Errorf("%s %s %q:\n%v", e.service, e.verb, e.path, wrong)
		}
	}
	seen := slices.DeleteFunc(c.servers.all(), func(p pair) bool { return p.Dst.Port() == 21 }) // control connections
	for _, p := range seen {
		if !slices.Contains(servers, p) {
			c.t.Errorf("the server had the data connection %v, which is in no record", p)
		}
	}
	for _, r := range all {
		if !c.sites[r.Service].tame && !slices.Contains(seen, r.ServerData) {
			c.t.Errorf("the server had no such data connection: %+v", r)
		}
	}
	return found
}

// compare says what of a record is not as it was.
func (c *clerk) compare(e *errand, r line) error {
	var wrong []error
	is := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	v6 := strings.HasPrefix(e.client, "[")
	backend := map[bool]netip.Addr{false: lab.ServerV4, true: lab.ServerV6}[v6]
	is(r.Service == e.service && r.User == "demo" && r.Client.String() == e.client && r.Backend.Addr() == backend, "whose: %+v", r)
	is(r.Verb == e.verb && r.Mode == e.mode && r.Direction == e.direction() && r.Outcome == "done" && r.Cause == "", "what: %+v", r)
	is(slices.Equal(r.Replies, []int{150, 226}), "replies: %v", r.Replies)
	carriedHere := e.service == "relay" || e.service == "tls"
	is(r.ASCII == (e.ascii || e.direction() == "listing") && r.TLS == (e.service == "tls") && r.Relayed == carriedHere, "how: %+v", r)

	is(r.ClientData == e.data, "client's connection: %v, the client saw %v", r.ClientData, e.data)
	at, far := r.ServerData.Dst, r.ServerData.Src
	if e.mode == "PORT" || e.mode == "EPRT" {
		at, far = far, at
	}
	inside := map[bool]netip.Addr{false: lab.LanV4, true: lab.LanV6}[v6]
	is(at.Addr() == backend && far.Addr() == inside, "server's connection: %v", r.ServerData)

	is(r.Connect != nil && *r.Connect >= 0 && *r.Connect < 5000, "connect_ms: %v", r.Connect)
	took := time.Duration(r.Took * float64(time.Millisecond))
	is(took > 0 && took <= e.ended.Sub(e.began), "duration_ms: %v, the client waited %v", took, e.ended.Sub(e.began))
	is(!r.Started.Before(e.began.Truncate(time.Millisecond)) && !r.Time.After(e.ended), "from %v to %v, the client: from %v to %v", r.Started, r.Time, e.began, e.ended)
	return errors.Join(append(wrong, c.bytes(e, r))...)
}

// bytes compares numbers of bytes. To the kernel bytes that are sent again are
// bytes, so where none were its numbers are right too.
func (c *clerk) bytes(e *errand, r line) error {
	if r.Bytes == nil {
		return fmt.Errorf("nobody counted its bytes: %s", r.Source)
	}
	n, want := *r.Bytes, e.wire()
	sort := c.sources[r.Source]
	c.sources[r.Source] = [2]int{sort[0] + 1, sort[1] + btoi(n == want)}
	exact := r.Source == "exact" || r.Source == "server_text"
	if exact && n != want || n < want || n > want+c.again {
		return fmt.Errorf("%d bytes (%s), want %d", n, r.Source, want)
	}
	if r.Relayed != (r.Source == "exact") {
		return fmt.Errorf("relayed %t, and its bytes are %s", r.Relayed, r.Source)
	}
	// Both servers say in their 150 how many bytes a download has. They are
	// believed unless the kernel has seen far more.
	says := c.sites[e.service].tame && e.verb == "RETR" && !e.ascii && e.rest == 0 && want > 0
	if says && r.Source != "server_text" && n <= want+want/20 {
		return fmt.Errorf("its bytes are %s, and the server has said them", r.Source)
	}
	return nil
}
