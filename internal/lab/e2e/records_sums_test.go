package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/proxy/api"
)

// sum adds up what errands have carried.
func (c *clerk) sum(is func(*errand) bool) (n uint64) {
	for _, e := range c.errands {
		if is(e) {
			n += e.wire()
		}
	}
	return n
}

// right reports whether a number is that of bytes: to the byte where the daemon
// has carried them itself, and else with what was sent again.
func (c *clerk) right(service string, n, want uint64) bool {
	if service == "relay" || service == "tls" {
		return n == want
	}
	return n >= want && n <= want+c.again
}

// segment is the most that one segment carries here.
const segment = 1460

// resent is how much both ends of the lab may have sent twice, in bytes.
func resent(t *testing.T, hosts ...*lab.Host) (n uint64) {
	t.Helper()
	for _, h := range hosts {
		var text []byte
		err := h.Do(func() (err error) {
			text, err = os.ReadFile("/proc/thread-self/net/snmp")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if fields[0] != "Tcp:" {
				continue
			}
			if names == nil {
				names = fields
				continue
			}
			segments, err := strconv.ParseUint(fields[slices.Index(names, "RetransSegs")], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += segments * segment
		}
	}
	return n
}

// bytesCounted compares the metrics of a service with what its clients moved.
func (c *clerk) bytesCounted(service string) {
	c.t.Helper()
	for _, direction := range []string{"download", "upload", "listing"} {
		want := c.sum(func(e *errand) bool { return e.service == service && e.direction() == direction })
		series := fmt.Sprintf("ftpgate_transfer_bytes_total{direction=%q,service=%q}", direction, service)
		var n float64
		eventually(c.t, series+" is all that was moved", func() bool {
			n, _ = strconv.ParseFloat(c.metric(series), 64)
			return n >= float64(want)
		})
		if !c.right(service, uint64(n), want) {
			c.t.Errorf("%s is %v, want %d", series, n, want)
		}
	}
}

// sessionsShown compares what ftpgate sessions shows of each with what its client
// moved.
func (c *clerk) sessionsShown() {
	c.t.Helper()
	var wrong string
	defer func() {
		if wrong != "" { // it does not come true
			c.t.Log(wrong)
		}
	}()
	eventually(c.t, "ftpgate sessions shows what was moved", func() bool {
		out, status := c.run("sessions", "--json", "--socket", c.socket)
		var all []api.Session
		if err := json.Unmarshal([]byte(out), &all); err != nil || status != 0 {
			c.t.Fatalf("sessions: status %d, %v: %s", status, err, out)
		}
		if len(all) != 20 {
			c.t.Fatalf("there are %d sessions, want 20: %s", len(all), out)
		}
		wrong = ""
		for _, s := range all {
			down, up, transfers := c.moved(s.Service, s.Client)
			if !c.right(s.Service, s.ToClient, down) || !c.right(s.Service, s.ToServer, up) || s.Done != transfers || s.Failed != 0 || s.User != "demo" {
				wrong += fmt.Sprintf("%+v, want %d bytes to the client, %d to the server in %d transfers\n", s, down, up, transfers)
			}
		}
		return wrong == ""
	})
}

// moved is what the client of a control connection moved. It may have used the
// same port for connections to different services.
func (c *clerk) moved(service, client string) (down, up, transfers uint64) {
	own := func(e *errand) bool { return e.service == service && e.client == client }
	down = c.sum(func(e *errand) bool { return own(e) && e.direction() != "upload" })
	up = c.sum(func(e *errand) bool { return own(e) && e.direction() == "upload" })
	for _, e := range c.errands {
		if own(e) {
			transfers++
		}
	}
	return down, up, transfers
}

// sessionsEnded compares the sums of session_end with what clients moved.
func (c *clerk) sessionsEnded() {
	c.t.Helper()
	all := audited(c.t, "session_end", c.records.json)
	if len(all) != 20 {
		c.t.Errorf("%d sessions have their end recorded, want 20", len(all))
	}
	for _, s := range all {
		down, up, transfers := c.moved(s.Service, s.Client.String())
		if !c.right(s.Service, s.ToClient, down) || !c.right(s.Service, s.ToServer, up) || s.Transfers != int(transfers) || s.Failures != 0 {
			c.t.Errorf("%+v, want %d bytes to the client, %d to the server in %d transfers", s, down, up, transfers)
		}
	}
}

// xferlog compares the xferlog with the records: downloads and uploads alone.
func (c *clerk) xferlog(found map[string]line) {
	c.t.Helper()
	want := map[entry]bool{}
	for _, e := range c.errands {
		r := found[e.path]
		if e.direction() == "listing" || r.Bytes == nil {
			continue
		}
		want[entry{
			seconds: max(1, int(r.Took/1000+.5)), host: r.Client.Addr().String(), bytes: *r.Bytes, name: logged(e.path), ascii: e.ascii,
			up: e.direction() == "upload", whole: true, user: "demo",
		}] = true
	}
	for _, got := range entries(c.t, c.records.xferlog) {
		if !want[got] {
			c.t.Errorf("the xferlog has %+v, which did not happen", got)
		}
		delete(want, got)
	}
	for e := range want {
		c.t.Errorf("the xferlog lacks %+v", e)
	}
}
