package config

import (
	"fmt"
	"regexp"
	"strings"
)

// What nft reads as the name of a table or a chain.
var chainForm = regexp.MustCompile(`^(inet|ip|ip6) [A-Za-z_.][A-Za-z0-9_./-]{0,127} [A-Za-z_.][A-Za-z0-9_./-]{0,127}$`)

// chain is a chain of another table, with one space between its words.
func chain(v any) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	c := strings.Join(strings.Fields(s), " ")
	if !chainForm.MatchString(c) {
		return "", fmt.Errorf(`%s is not a chain: write inet, ip or ip6, the table and the chain, e.g. "inet filter input"`, describe(s))
	}
	return c, nil
}

// routeTable is the number of a routing table that has no use of its own
// (/etc/iproute2/rt_tables).
func routeTable(v any) (int, error) {
	n, err := count(v)
	if err == nil && (n == 0 || n >= 253 && n <= 255) {
		err = fmt.Errorf("%d is a routing table that the kernel has uses for: write another number, e.g. 21421", n)
	}
	return n, err
}

// checkTables holds [nft] against itself, and its second mark against who uses it.
func (r *reader) checkTables(f *File) {
	for i, c := range f.NFT.AcceptIn {
		if key := element("nft.accept_in", i); strings.HasPrefix(c, "inet "+f.NFT.Table+" ") {
			r.report(key, key, fmt.Sprintf("%q is in our own table: write chains of your firewall", c))
		}
	}
	used := r.given["nft.route_mark"]
	for _, s := range f.Settings.Services {
		used = used || s.FromClient
	}
	if key := "nft.route_mark"; used && f.NFT.Mark == f.NFT.RouteMark && !r.failed(key) && !r.failed("nft.mark") {
		near := key
		if !r.given[key] {
			near = "nft.mark" // the one that is written
		}
		r.report(key, near, fmt.Sprintf(`"0x%08x" is nft.mark too: write another bit`, f.NFT.RouteMark))
	}
}
