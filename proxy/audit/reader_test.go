package audit_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
	"ftpgate/proxy/audit"

	"github.com/google/go-cmp/cmp"
)

// counts are what Webalizer has counted, of all or of one name.
type counts struct{ Hits, Complete, Bytes uint64 }

// report is what Webalizer makes of a log.
type report struct {
	Total              counts
	Users, Hosts, URLs map[string]counts
}

// hostile are transfers with names that try to be more than a name, and what a
// reader must take them for.
var hostile = []struct {
	client, user, path string
	asUser, asPath     string
	upload, failed     bool
}{
	{"192.0.2.1", "alice", "/pub/plain.bin", "alice", "/pub/plain.bin", false, false},
	{"192.0.2.1", "alice", "/pub/with some spaces", "alice", "/pub/with_some_spaces", true, false},
	{"192.0.2.2", "anonymous", "x b _ i r root ftp 0 * c\nSat Nov 21 10:00:00 2026 1 203.0.113.9 999999 /forged b _ o r root ftp 0 * c",
		"anonymous", "x_b___i_r_root_ftp_0_*_c_Sat_Nov_21_10:00:00_2026_1_203.0.113.9_999999_/forged_b___o_r_root_ftp_0_*_c", false, false},
	{"192.0.2.2", "bob", "hides (the rest", "bob", "hides__the_rest", true, false},
	{"192.0.2.2", "bob", "hides [the rest", "bob", "hides__the_rest", true, false},
	{"192.0.2.2", "bob", `"hides the rest`, "bob", "_hides_the_rest", true, true},
	{"2001:db8::7", "carol (", "/report (1) [final].pdf", "carol__", "/report_(1)_[final].pdf", false, false},
	{"2001:db8::7", "jürgen", "/été/日本.txt", "jürgen", "/été/日本.txt", false, false},
	{"::ffff:192.0.2.3", "Zo\xeb\x00\t", "\xff\x80\x1b[31m\u202egpj.exe\u2028", "Zo___", "____31m_gpj.exe_", false, true},
	{"192.0.2.3", "dave", "/" + strings.Repeat("a long way/", 400), "dave", "/" + strings.Repeat("a_long_way/", 400), true, false},
	{"192.0.2.3", "", "", "-", "-", true, false},
}

// TestWebalizerReadsIt has a real reader of xferlogs count a hostile log.
func TestWebalizerReadsIt(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	dir := t.TempDir()
	want := write(t, filepath.Join(dir, "xferlog"))
	got := webalize(t, tree, l, dir)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// write makes an xferlog of the hostile transfers, and the report that is due.
func write(t *testing.T, path string) report {
	t.Helper()
	log, err := audit.Open(audit.Options{Xferlog: path})
	if err != nil {
		t.Fatal(err)
	}
	want := report{Users: map[string]counts{}, Hosts: map[string]counts{}, URLs: map[string]counts{}}
	end := time.Date(2026, 11, 5, 10, 0, 0, 0, time.Local)
	for i, h := range hostile {
		e := audit.Transfer{
			Time: end.Add(time.Duration(i) * time.Second), Direction: "download", Path: h.path, Done: !h.failed,
			Bytes: 1<<33 + uint64(i), Source: audit.Exact, Took: time.Minute,
		}
		e.Client, e.User = netip.AddrPortFrom(netip.MustParseAddr(h.client), 40000), h.user
		if h.upload {
			e.Direction = "upload"
		}
		log.Write(e)
		log.Write(audit.Transfer{Time: e.Time, Who: e.Who, Direction: "listing", Path: h.path, Bytes: 1})
		want.add(h.asUser, netip.MustParseAddr(h.client).Unmap().String(), h.asPath, counts{1, complete(h.failed), e.Bytes})
	}
	if err := log.Close(); err != nil || log.Dropped() != 0 {
		t.Fatalf("%v, %d dropped", err, log.Dropped())
	}
	delete(want.Users, "-") // no name, to Webalizer as to us
	delete(want.URLs, "-")
	return want
}

func complete(failed bool) uint64 {
	if failed {
		return 0
	}
	return 1
}

func (r *report) add(user, host, url string, c counts) {
	r.Total = r.Total.plus(c)
	c.Complete = 0 // counted in the total alone
	r.Users[user] = r.Users[user].plus(c)
	r.Hosts[host] = r.Hosts[host].plus(c)
	r.URLs[cut(url)] = r.URLs[cut(url)].plus(c)
}

func (c counts) plus(d counts) counts {
	return counts{c.Hits + d.Hits, c.Complete + d.Complete, c.Bytes + d.Bytes}
}

// cut is as much of a name as we compare: Webalizer itself cuts at 511 bytes.
func cut(name string) string { return name[:min(len(name), 400)] }

// webalize runs Webalizer, and reads the state that it keeps for its next run,
// which has every number in full.
func webalize(t *testing.T, tree *debian.Tree, l *lab.Lab, dir string) report {
	t.Helper()
	cmd := tree.Command(t.Context(), l.Client, []debian.Bind{{Host: dir, Inside: "/srv"}},
		"webalizer", "-F", "ftp", "-p", "-n", "lab", "-o", "/srv", "/srv/xferlog")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("webalizer: %v\n%s", err, out)
	}
	for _, complaint := range []string{"ignored", "bad", "Skipping"} {
		if strings.Contains(string(out), complaint) {
			t.Errorf("webalizer complains:\n%s", out)
		}
	}
	state, err := os.ReadFile(filepath.Join(dir, "webalizer.current"))
	if err != nil {
		t.Fatal(err)
	}
	got := report{Users: map[string]counts{}, Hosts: map[string]counts{}, URLs: map[string]counts{}}
	lines := strings.Split(string(state), "\n")
	var sites, urls, referrers, agents uint64
	if _, err := fmt.Sscan(lines[2], &got.Total.Hits, &got.Total.Complete, &sites, &urls, &referrers, &agents, &got.Total.Bytes); err != nil {
		t.Fatalf("the totals: %v\n%s", err, state)
	}
	table(t, lines, "# -urls-", 2, got.URLs)
	table(t, lines, "# -sites- (monthly)", 3, got.Hosts)
	table(t, lines, "# -usernames-", 2, got.Users)
	return got
}

// table reads a part of Webalizer's state: names, each with size-1 lines behind,
// the first of which has the numbers.
func table(t *testing.T, lines []string, title string, size int, into map[string]counts) {
	t.Helper()
	for i, line := range lines {
		if !strings.HasPrefix(line, title) {
			continue
		}
		for i++; !strings.HasPrefix(lines[i], "# End Of Table"); i += size {
			var flag, files uint64
			var c counts
			if _, err := fmt.Sscan(lines[i+1], &flag, &c.Hits, &files, &c.Bytes); err != nil {
				t.Fatalf("%s: %q: %v", title, lines[i+1], err)
			}
			into[cut(lines[i])] = c
		}
		return
	}
	t.Fatalf("no %s in Webalizer's state", title)
}
