// Package config turns the bytes of a configuration file into checked
// settings, or into everything that is wrong with it.
//
// The file is TOML. It is decoded into plain maps and walked once against the
// table in schema.go, which has a line for every key of the contract: its path,
// its default and the function that checks it and stores it. Rules that need
// more than one key are in functions named check, which check.go calls. A file is good as a whole or not at all:
// one reading reports every unknown key, every bad value and every missing one,
// each with the line where it stands.
//
// Be aware: nothing here touches the host. Whether an address exists, a port is
// free or the kernel hands out ports of a range by itself is for others to see.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"ftpgate/proxy"
)

// File is a whole, checked configuration file.
type File struct {
	Log struct {
		Level  slog.Level
		Format string // text or json
	}
	Metrics struct {
		Listen    netip.AddrPort // zero: off
		WebConfig string         // absolute path of a file for exporter-toolkit; empty: plain HTTP
	}
	Admin struct {
		Listen    netip.AddrPort // zero: off
		WebConfig string
		Socket    string // absolute path; empty: off
	}
	NFT struct {
		Table string
		Mark  uint32 // exactly one bit
		Owner bool   // own the table where the kernel can; false: never

		AcceptIn   []string // chains to keep the accept rule in: "inet filter input"
		RouteMark  uint32   // exactly one bit, of packets to and from transparent sources
		RouteTable int      // the routing table that brings them here
	}
	Audit struct {
		JSON, Xferlog string // absolute paths; empty: off
		Refuse        bool   // new sessions, while it cannot be written
	}
	Settings proxy.Settings
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	Key  string // service[0].ports; empty: the file as a whole
	Line int    // 0: nowhere, since something is missing
	Text string // what is wrong and what to write instead
}

// In formats the problem as compilers do, with the name of the file it is in:
//
//	ftpgate.toml:12: service[0].ports: "6100-64x" is not a range: write FIRST-LAST, e.g. "61000-64999"
func (p Problem) In(file string) string {
	where := file
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", file, p.Line)
	}
	if p.Key == "" {
		return where + ": " + p.Text
	}
	return where + ": " + p.Key + ": " + p.Text
}

// Parse reads a file. The problems are sorted by line; with any, the file is nil.
func Parse(data []byte) (*File, []Problem) {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, []Problem{syntaxProblem(string(data), err)}
	}
	r := &reader{lines: findLines(string(data)), given: make(map[string]bool)}
	file := r.file(tree)
	r.check(file)
	if len(r.problems) == 0 {
		return file, nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return nil, r.problems
}

// syntaxProblem is all that can be said of a file that is not TOML: where
// reading stopped. The offset is the one part of the library's position that
// holds: its line is off by one at some ends of lines, its column after the first.
func syntaxProblem(text string, err error) Problem {
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return Problem{Line: 1, Text: "not TOML: " + printable(err.Error())}
	}
	before := text[:min(max(syntax.Position.Start, 0), len(text))]
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return Problem{
		Line: strings.Count(before, "\n") + 1,
		Text: fmt.Sprintf("column %d: not TOML: %s", column, printable(syntax.Message)),
	}
}

// printable escapes what the library quotes of the file as it is: a problem is
// one line, and no terminal obeys it.
func printable(message string) string {
	var b strings.Builder
	for _, r := range message {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
