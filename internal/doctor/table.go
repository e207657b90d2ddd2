package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tableFlushed looks at the table of a daemon that runs.
func tableFlushed(ctx context.Context, h *host) ([]Finding, error) {
	if d := h.daemon(); !d.runs || !d.ours {
		return nil, nil
	}
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	what := "is gone"
	for _, c := range all.Chains {
		if c.Of("inet", h.file.NFT.Table) && c.Base {
			what = ""
			if len(c.Rules) == 0 {
				what = "has lost its rules"
				break
			}
		}
	}
	if what != "" {
		return []Finding{{
			Severity: Error, About: "inet " + h.file.NFT.Table, Seen: fmt.Sprintf("table inet %s %s, while %s runs", h.file.NFT.Table, what, holder(h.daemon().Process, true)),
			Why:  "no pinhole can open, and those that were open are closed",
			Edit: "the daemon puts it back within 30 s; if it does not, restart it: systemctl restart ftpgate",
		}}, nil
	}
	n, err := h.reinstalls(ctx)
	if n == 0 || err != nil {
		return nil, err
	}
	return []Finding{{
		Severity: Warning, About: "inet " + h.file.NFT.Table + " reinstalled",
		Seen: fmt.Sprintf("somebody has removed table inet %s %d times since the daemon began; its log names who", h.file.NFT.Table, n),
		Why:  "transfers that are being set up in that moment fail",
		Edit: "write nft.owner = \"auto\" where the kernel is 6.9 or later; else have that program reload its own tables alone, without flush ruleset",
	}}, nil
}

// reinstalls asks the daemon's metrics, if this is not the daemon.
func (h *host) reinstalls(ctx context.Context) (uint64, error) {
	if h.Reinstalls != nil {
		return h.Reinstalls(), nil
	}
	at := h.file.Metrics.Listen
	if !at.IsValid() {
		return 0, errors.New("the daemon counts it in its metrics, which metrics.listen = \"\" turns off")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask the daemon's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "ftpgate_nft_reinstalls_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return uint64(n), err
		}
	}
	return 0, errors.New("what answers at metrics.listen is not this daemon's metrics")
}

// rulesetFiles are what distributions load at start.
var rulesetFiles = []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"}

var (
	flushes  = regexp.MustCompile(`(?m)^[[:blank:]]*flush ruleset[[:blank:]]*;?[[:blank:]]*$`)
	declares = regexp.MustCompile(`(?m)^[[:blank:]]*(?:add[[:blank:]]+)?table[[:blank:]]+(?:(inet|ip6?|arp|bridge|netdev)[[:blank:]]+)?([[:word:]./-]+)`)
)

// flushRuleset looks for a file that removes everybody's tables to load its own.
// An owned table does not mind.
func flushRuleset(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	var errs []error
	for _, name := range rulesetFiles {
		text, err := os.ReadFile(h.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !flushes.Match(text) {
			continue
		}
		f := Finding{
			Severity: Notice, About: name, Seen: h.path(name) + " flushes the whole ruleset before it loads its own",
			Why:  "our table has an owner and stays; but the accept rules that others put into the tables of that file are gone until they are put back",
			Mend: []string{fmt.Sprintf(`sed -i -E 's/^[[:blank:]]*flush ruleset.*$/%s/' %s`, flushOwn(string(text)), h.path(name))},
		}
		if features, err := h.features(); err == nil && (!h.file.NFT.Owner || !features.Owner) {
			f.Severity = Warning
			f.Why = "each time it is loaded our table is removed, pinholes and all, until the daemon puts it back"
		}
		found = append(found, f)
	}
	return found, errors.Join(errs...)
}

// flushOwn is what to write in place of flush ruleset: it creates each table, if it
// is not there, so that it can be deleted.
func flushOwn(text string) string {
	var lines []string
	seen := map[string]bool{}
	for _, m := range declares.FindAllStringSubmatch(text, -1) {
		family := m[1]
		if family == "" {
			family = "ip"
		}
		table := family + " " + strings.ReplaceAll(m[2], "/", `\/`)
		if !seen[table] {
			seen[table] = true
			lines = append(lines, "table "+table, "delete table "+table)
		}
	}
	if lines == nil {
		return "# flush ruleset"
	}
	return strings.Join(lines, `\n`)
}
