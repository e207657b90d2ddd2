package e2e

import (
	"slices"
	"strings"
	"testing"

	"ftpgate/internal/doctor"
)

// Without help a firewall that drops keeps FTP from passing, where it must; check
// and doctor say what helps, and that does.
func TestBesideTakesTheDoctorsWord(t *testing.T) {
	for _, n := range neighbours {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			b := moveIn(t, n, false, "", "")
			b.start()
			for _, at := range bothFamilies {
				if want := !slices.Contains(n.control, at); b.reaches(at, want) != want {
					t.Fatalf("without help control connections to %s get through: %t, want %t", at, !want, want)
				}
			}
			out, _ := b.run("check", "-c", b.config)
			if want := `ct mark & 0x00000400 == 0x00000400 counter accept comment "ftpgate"`; !strings.Contains(out, want) {
				t.Errorf("check does not print %q:\n%s", want, out)
			}

			report := b.examine()
			for _, check := range []string{"control_blocked", "nat_conflict", "data_blocked"} {
				if check == "data_blocked" {
					b.dataIsBlocked()
				}
				b.treat(report, check)
			}
			for _, at := range bothFamilies {
				b.transfersOf(login(t, b.lab.Client, at), at)
			}
			b.noMore(report)
		})
	}
}

// dataIsBlocked sees data connections fail where they must, of sessions that
// work.
func (b *beside) dataIsBlocked() {
	b.t.Helper()
	for _, at := range bothFamilies {
		c := login(b.t, b.lab.Client, at)
		want := !slices.Contains(b.data, at)
		if b.reaches(setUp(b.t, c, "EPSV").At.String(), want) != want {
			b.t.Errorf("without help passive data at %s gets through: %t, want %t", at, !want, want)
		}
		if want {
			continue
		}
		c = login(b.t, b.lab.Client, at)
		d := setUp(b.t, c, "EPRT")
		c.Timeout = blocked
		if _, err := c.Download(d, "RETR /zero-1K"); err == nil {
			b.t.Errorf("without help active data at %s gets through", at)
		}
	}
}

// treat types what the doctor says of one check, which must be in the words of
// this firewall.
func (b *beside) treat(r doctor.Report, check string) {
	b.t.Helper()
	var said []string
	for _, f := range of(r, check) {
		said = append(said, f.Mend...)
		b.mend(f)
	}
	want := b.words[check]
	slices.Sort(said)
	slices.Sort(want)
	if !slices.EqualFunc(said, want, strings.HasPrefix) {
		b.t.Errorf("%s is mended by\n\t%s\nwant\n\t%s", check, strings.Join(said, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// noMore wants nothing found of what was treated.
func (b *beside) noMore(before doctor.Report) {
	b.t.Helper()
	after := b.examine()
	for _, f := range after.Findings {
		if len(of(before, string(f.Check))) > 0 && f.Severity != "notice" {
			b.t.Errorf("still found: %+v", f)
		}
	}
}
