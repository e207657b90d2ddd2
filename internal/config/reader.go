package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ftpgate/proxy"
)

// reader walks one decoded file against the schema and gathers what is wrong.
type reader struct {
	lines    map[string]int  // line of every path that is written in the file
	given    map[string]bool // keys that are written, with more than ""
	problems []Problem
}

// place is what the keys of a table fill. Service is nil outside [[service]].
type place struct {
	file    *File
	service *proxy.Service
}

// mode is that of the service, "" while it is not known.
func (p place) mode() proxy.Mode {
	if p.service == nil {
		return ""
	}
	return p.service.Mode
}

// value is what was written for a key, and where.
type value struct {
	r   *reader
	at  string // service[0].backends[1]
	any any    // string, int64, float64, bool, time.Time, []any, map[string]any, …
}

// given says whether anything was written, other than the "" of what is left out.
func (v value) given() bool { return v.any != nil && v.any != "" }

func (v value) fail(text string) { v.r.report(v.at, v.at, text) }

// report notes a problem with key. It stands where near does, or, when that
// is not written in the file, where the nearest table around it begins.
func (r *reader) report(key, near, text string) {
	line := r.lines[near]
	for line == 0 && near != "" {
		near = near[:max(strings.LastIndexAny(near, ".["), 0)]
		line = r.lines[near]
	}
	r.problems = append(r.problems, Problem{Key: key, Line: line, Text: text})
}

// failed says whether something is wrong with key or below it.
func (r *reader) failed(key string) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool {
		rest, ok := strings.CutPrefix(p.Key, key)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// file reads the tables of the daemon first: services inherit [limits], and
// what [audit] says of sessions.
func (r *reader) file(tree map[string]any) *File {
	f := &File{}
	services, ok := tree[serviceTable]
	if ok {
		tree = maps.Clone(tree)
		delete(tree, serviceTable)
	}
	r.table(place{file: f}, "", "", tree)
	for i, t := range r.services(services, ok) {
		s := proxy.Service{Limits: f.Settings.Limits, OnlyAudited: f.Audit.Refuse}
		if t != nil {
			r.table(place{file: f, service: &s}, serviceTable, element(serviceTable, i), t)
		}
		f.Settings.Services = append(f.Settings.Services, s)
	}
	return f
}

// services returns the tables of [[service]]; one that is no table is nil, so
// that the others keep their numbers.
func (r *reader) services(v any, written bool) []map[string]any {
	var tables []map[string]any
	switch list := v.(type) {
	case []map[string]any:
		tables = list
	case []any:
		for i, v := range list {
			t, ok := v.(map[string]any)
			if !ok {
				value{r, element(serviceTable, i), v}.fail(describe(v) + " is not a service: write a [[service]] table")
			}
			tables = append(tables, t)
		}
	default:
		if written {
			value{r, serviceTable, v}.fail("there can be several services: write [[service]], in two pairs of brackets")
			return nil
		}
	}
	if len(tables) == 0 {
		r.report(serviceTable, serviceTable, "missing: write at least one [[service]] with name, listen, backends and tls.mode")
	}
	return tables
}

// table reads the keys of one scope of the schema, sub-tables included. What
// is not written gets its default.
func (r *reader) table(p place, scope, at string, tree map[string]any) {
	found := make(map[string]value)
	r.collect(found, scope, at, tree)
	for _, k := range schema {
		rest, ok := strings.CutPrefix(k.path, scope)
		if !ok || inService(k.path) != (p.service != nil) {
			continue
		}
		where := dot(at, strings.TrimPrefix(rest, "."))
		v, written := found[k.path]
		switch {
		case written && k.later != "":
			v.fail(unavailable + ": " + k.later)
		case k.idle(p.mode()) != "":
			if v.given() {
				v.fail(fmt.Sprintf("does nothing with mode = %q: %s", p.mode(), k.idle(p.mode())))
			}
		case written:
			r.given[where] = v.given()
			k.set(p, v)
		case k.forward != nil && p.mode() == proxy.Forward:
			k.set(p, value{r, where, k.forward})
		case found[k.impliedBy].given():
			k.set(p, value{r, where, k.def})
		case k.missing != "":
			if !k.modal() || p.mode() != "" {
				r.report(where, where, k.missing)
			}
		case k.def != nil:
			k.set(p, value{r, where, k.def})
		}
	}
}

// collect finds the values of the schema's keys in a table and the tables
// within, and reports what the schema does not know.
func (r *reader) collect(found map[string]value, scope, at string, tree map[string]any) {
	for name, v := range tree {
		path, where := join(scope, name), join(at, name)
		if isKey(path) {
			found[path] = value{r, where, v}
			continue
		}
		if !isTable(path) {
			value{r, where, v}.fail(unknown(scope, name))
			continue
		}
		sub, ok := v.(map[string]any)
		if !ok {
			value{r, where, v}.fail(describe(v) + " is not a table: write [" + path + "] and its keys below it")
			continue
		}
		r.collect(found, path, where, sub)
	}
}

// join appends a name as the file has it to a path. A name that is not bare is
// quoted, so that "log.level" in quotes is not taken for level in [log].
func join(path, name string) string {
	bare := strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
	if name == "" || !bare {
		name = strconv.Quote(name)
	}
	return dot(path, name)
}

// dot appends a path to a path.
func dot(path, rest string) string {
	if path == "" {
		return rest
	}
	return path + "." + rest
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
