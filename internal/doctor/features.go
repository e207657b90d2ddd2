package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor/rules"
	"ftpgate/nft"
	"ftpgate/proxy"
)

// kernelFeatures says what an older kernel lacks.
func kernelFeatures(_ context.Context, h *host) ([]Finding, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	release := unix.ByteSliceToString(name.Release[:])
	if f := tooOld(release); f != nil {
		return []Finding{*f}, nil
	}
	features, err := h.features()
	if err != nil {
		return nil, err
	}
	return lacking(features, h.file.NFT.Owner, release), nil
}

// tooOld compares a release with Linux 5.10, below which nothing was tried.
func tooOld(release string) *Finding {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || major > 5 || major == 5 && minor >= 10 {
		return nil
	}
	return &Finding{
		Severity: Error, About: "release", Seen: "this is Linux " + release,
		Why: "maps that rules delete from, and nat in tables of the family inet, take Linux 5.10", Edit: "install a newer kernel",
	}
}

func lacking(f nft.Features, owner bool, release string) []Finding {
	var found []Finding
	if owner && !f.Owner {
		found = append(found, Finding{
			Severity: Notice, About: "owner", Seen: "tables cannot have an owner that outlives its process (Linux 6.9; this is " + release + ")",
			Why:  "whoever flushes the ruleset closes all pinholes, until the daemon has noticed",
			Edit: "install a newer kernel, or have others reload their own tables alone; nft.owner = \"off\" says that it is known",
		})
	}
	return found
}

// features asks the kernel by transactions that leave nothing behind. Deleting
// what may be missing is not missed: nothing that works goes without it.
func (h *host) features() (nft.Features, error) {
	if h.Features != nil {
		return *h.Features, nil
	}
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nft.Features{}, err
	}
	defer func() { _ = c.CloseLasting() }()
	table := &nftables.Table{
		Name: fmt.Sprintf("ftpgate-doctor-%d", os.Getpid()), Family: nftables.TableFamilyINet,
		Flags: nftables.TableFlagOwner | nftables.TableFlagPersist,
	}
	c.AddTable(table)
	c.DelTable(table)
	err = c.Flush()
	switch {
	case err == nil:
		return nft.Features{Owner: true}, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return nft.Features{}, nil
	case errors.Is(err, unix.EPERM):
		return nft.Features{}, rules.ErrPermission
	}
	return nft.Features{}, fmt.Errorf("probe nftables: %w", err)
}

// legacyRules finds tables of iptables-legacy, which are beside nftables.
func legacyRules(_ context.Context, h *host) ([]Finding, error) {
	var tables []string
	for _, f := range []struct{ names, program string }{{"ip_tables_names", "iptables"}, {"ip6_tables_names", "ip6tables"}} {
		text, err := os.ReadFile(h.path("/proc/self/net/" + f.names))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for table := range strings.FieldsSeq(string(text)) {
			tables = append(tables, f.program+"-legacy -t "+table+" -S")
		}
	}
	if tables == nil {
		return nil, nil
	}
	return nil, fmt.Errorf("there are tables of iptables-legacy, whose rules are not looked at: see that none drops or translates what is ours (%s)", strings.Join(tables, "; "))
}

// What a session holds, and what the daemon needs besides.
const (
	descriptorsPerSession = 2
	descriptorsPerRelay   = 6
	descriptorsBesides    = 64
)

// descriptors compares limits.sessions with the limit of the daemon, or with what
// one that is started from here could have.
func descriptors(_ context.Context, h *host) ([]Finding, error) {
	sessions := h.file.Settings.Limits.Sessions
	if sessions == 0 {
		return nil, nil // as many as the limit allows
	}
	each := descriptorsPerSession
	h.each(func(svc *proxy.Service) {
		if svc.Relays() {
			each = descriptorsPerSession + descriptorsPerRelay
		}
	})
	need := uint64(sessions*each + descriptorsBesides)
	f := Finding{
		Severity: Warning, About: "limits.sessions",
		Why:  "when they are used up no connection can be accepted or dialled",
		Edit: fmt.Sprintf("write LimitNOFILE=%d into the daemon's unit and restart it, or a smaller limits.sessions", need),
	}
	d := h.daemon()
	limit, err := processLimit(d)
	if err != nil || limit >= need {
		return nil, err
	}
	who := "a daemon that is started from here"
	if d.runs && d.ours {
		who = holder(d.Process, true)
	}
	f.Seen = fmt.Sprintf("%d sessions may need %d open files; %s may have %d", sessions, need, who, limit)
	return []Finding{f}, nil
}

// processLimit is the number of files that the daemon may open. Go raises the
// limit to the hard one when a program starts.
func processLimit(d daemon) (uint64, error) {
	if !d.runs || !d.ours {
		var r unix.Rlimit
		err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
		return r.Max, err
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/limits", d.PID))
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) > 0 {
			if fields[0] == "unlimited" {
				return math.MaxUint64, nil
			}
			return strconv.ParseUint(fields[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/limits does not say how many files it may open", d.PID)
}
