package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknown says what may have been meant by a name that a table does not have.
func unknown(table, name string) string {
	here := names(table, true)
	// A key written below the header of a sub-table falls to that one: TOML has
	// no end of a table. The likeliest mistake, and the hardest to see.
	if home, ok := homeOf(table, name); ok {
		return fmt.Sprintf("unknown key: did you mean %s? A key belongs to the last [table] above it", written("", home))
	}
	for distance := 1; distance <= 2; distance++ {
		for _, n := range here {
			if 2*distance < len(n) && edits(strings.ToLower(name), n) <= distance {
				return "unknown key: did you mean " + written(table, n) + "?"
			}
		}
	}
	where := "the file"
	if table != "" {
		where = written("", table)
	}
	return "unknown key: " + where + " has " + strings.Join(names(table, false), ", ")
}

// written is a name as it is written in a table.
func written(table, name string) string {
	switch path := dot(table, name); {
	case path == serviceTable:
		return "[[" + path + "]]"
	case isTable(path):
		return "[" + path + "]"
	}
	return name
}

// names lists what may stand directly in a table, in the order of the schema;
// with all, also what is not available.
func names(table string, all bool) []string {
	var list []string
	for _, k := range schema {
		rest, ok := strings.CutPrefix(k.path, table)
		if !ok || (table != "" && !strings.HasPrefix(rest, ".")) || (!all && k.later != "") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), ".")
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// homeOf finds the one other table that has a key or table of this very name:
// the nearest one around table, else the only one there is.
func homeOf(table, name string) (string, bool) {
	for around := table; around != ""; {
		around = around[:max(strings.LastIndexByte(around, '.'), 0)]
		if slices.Contains(names(around, true), name) {
			return dot(around, name), true
		}
	}
	var homes []string
	for _, k := range schema {
		home := k.path[:max(strings.LastIndexByte(k.path, '.'), 0)]
		for ; home != ""; home = home[:max(strings.LastIndexByte(home, '.'), 0)] {
			path := dot(home, name)
			if slices.Contains(names(home, true), name) && !slices.Contains(homes, path) {
				homes = append(homes, path)
			}
		}
	}
	if len(homes) != 1 {
		return "", false
	}
	return homes[0], true
}

// edits is how many letters must be added, dropped, changed or swapped with
// their neighbour to make b of a (optimal string alignment).
func edits(a, b string) int {
	var before, last []int // the rows for a[:i-2] and a[:i-1]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
