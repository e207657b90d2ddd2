package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/lab/debian"
)

// Newer firewalld owns its table: nobody else writes to it, accept_in included.
// That is said once, and firewalld's own word for the port is enough.
func TestBesideAnOwnedTable(t *testing.T) {
	const chain = "inet firewalld filter_INPUT"
	p := usual(t, "", "[nft]\naccept_in = [\""+chain+"\"]\n")
	b := &beside{patient: p, neighbour: neighbour{name: "firewalld"}, dir: t.TempDir()}
	b.write(false)
	owner := b.own("ruleset.nft", "table inet firewalld")
	b.start()
	if b.reaches(gateway4, false) {
		t.Fatal("firewalld drops nothing; this test shows nothing")
	}
	if v := b.metric(fmt.Sprintf("ftpgate_accept_rule_present{chain=%q}", chain)); v != "0" {
		t.Errorf("the metric says %q, want 0", v)
	}

	owner.tell("add rule inet firewalld filter_IN_public_allow tcp dport 21 accept")
	eventually(t, "firewalld lets the port in", func() bool { return b.reaches(gateway4, false) })
	for _, at := range bothFamilies {
		b.transfersOf(login(t, p.lab.Client, at), at)
	}
	said := 0 // though it was tried again, when that rule came
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, "the table belongs to") {
			said++
			if want := fmt.Sprintf("nft (pid %d)", owner.pid); !strings.Contains(line, want) || !strings.Contains(line, chain) {
				t.Errorf("want %q and the chain in %s", want, line)
			}
		}
	}
	if said != 1 {
		t.Errorf("the log says %d times that the table belongs to somebody:\n%s", said, b.log)
	}
}

// owner is an nft that owns a table as long as it runs.
type owner struct {
	t   testing.TB
	in  io.Writer
	pid int
}

// own loads one of the firewall's files, as one that owns its table.
func (b *beside) own(file, table string) *owner {
	b.t.Helper()
	path := filepath.Join(b.dir, file)
	ruleset, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(ruleset, []byte(table+" {\n"), []byte(table+" {\nflags owner\n"), 1), 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := b.tree.Command(b.t.Context(), b.lab.Gateway, []debian.Bind{{Host: b.dir, Inside: "/conf"}}, "nft", "-i")
	in, out := io.Pipe()
	said := &syncBuffer{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, said, said
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		out.Close()
		if b.t.Failed() {
			b.t.Logf("the owner said: %s", said)
		}
	})
	o := &owner{b.t, out, cmd.Process.Pid}
	o.tell(`include "/conf/` + file + `"`)
	eventually(b.t, "the table is owned", func() bool {
		list, err := b.command("nft", "list", table).CombinedOutput()
		return err == nil && strings.Contains(string(list), "flags owner") && strings.Contains(string(list), "chain ")
	})
	return o
}

func (o *owner) tell(line string) {
	o.t.Helper()
	if _, err := io.WriteString(o.in, line+"\n"); err != nil {
		o.t.Fatal(err)
	}
}
