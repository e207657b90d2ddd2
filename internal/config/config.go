// Package config turns the bytes of a configuration file into checked
// settings, or into everything that is wrong with it.
//
// The file is TOML. It is decoded into plain maps and walked once against the
// table in schema.go, which has a line for every key of the contract: its path,
// its default and the function that checks it and stores it. Rules that need
// more than one key are in check.go. A file is good as a whole or not at all:
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
		Listen netip.AddrPort // zero: off
	}
	Admin struct {
		Socket string // absolute path; empty: off
	}
	NFT struct {
		Table string
		Mark  uint32 // exactly one bit
		Owner bool   // own the table where the kernel can; false: never
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
		return nil, []Problem{syntaxProblem(err)}
	}
	r := &reader{lines: findLines(string(data))}
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
// reading stopped.
func syntaxProblem(err error) Problem {
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return Problem{Line: 1, Text: "not TOML: " + err.Error()}
	}
	return Problem{
		Line: max(syntax.Position.Line, 1),
		Text: fmt.Sprintf("column %d: not TOML: %s", max(syntax.Position.Col, 1), syntax.Message),
	}
}
