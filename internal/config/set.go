package config

import (
	"slices"
	"strings"
	"time"

	"ftpgate/proxy"
)

// parser turns a value of TOML into one of ours. The text of its error is the
// text of a Problem.
type parser[T any] func(v any) (T, error)

// one stores what parse makes of a value. A nil field only checks it: there is
// but one behaviour today.
func one[T any](parse parser[T], field func(place) *T) func(place, value) {
	return func(p place, v value) {
		t, err := parse(v.any)
		if err != nil {
			v.fail(err.Error())
		} else if field != nil {
			*field(p) = t
		}
	}
}

// list stores what parse makes of each element. A bad one leaves a zero, so
// that the others keep their numbers in later problems.
func list[T any](parse parser[T], field func(place) *[]T) func(place, value) {
	return func(p place, v value) {
		elements, ok := v.elements()
		if !ok {
			return
		}
		*field(p) = nil // [service.limits] exempt replaces the one of [limits]
		for i, e := range elements {
			t, err := parse(e)
			if err != nil {
				value{v.r, element(v.at, i), e}.fail(err.Error())
			}
			*field(p) = append(*field(p), t)
		}
	}
}

// distinct is list for lists of what must not be there twice.
func distinct[T comparable](parse parser[T], field func(place) *[]T) func(place, value) {
	return func(p place, v value) {
		list(parse, field)(p, v)
		var bad T
		for i, t := range *field(p) {
			if t != bad && slices.Contains((*field(p))[:i], t) {
				v.r.report(element(v.at, i), element(v.at, i), describe(t)+" is in the list twice: write it once")
			}
		}
	}
}

// some is set for lists that may not be empty.
func some(set func(place, value), empty string) func(place, value) {
	return func(p place, v value) {
		if elements, ok := v.any.([]any); ok && len(elements) == 0 {
			v.fail("empty" + strings.TrimPrefix(empty, "missing"))
			return
		}
		set(p, v)
	}
}

// elements returns the elements of a list, or reports that v is none.
func (v value) elements() ([]any, bool) {
	switch l := v.any.(type) {
	case []any:
		return l, true
	case []map[string]any: // what the library makes of a list of tables
		elements := make([]any, len(l))
		for i, t := range l {
			elements[i] = t
		}
		return elements, true
	case string:
		v.fail(describe(l) + " is not a list: write [" + describe(l) + "]")
	default:
		v.fail(describe(l) + " is not a list: write it in brackets")
	}
	return nil, false
}

// timeout stores a duration of [service.timeouts].
func timeout(field func(*proxy.Timeouts) *time.Duration) func(place, value) {
	return one(duration, func(p place) *time.Duration { return field(&p.service.Timeouts) })
}

// setModes stores which data modes are offered.
func setModes(p place, v value) {
	var modes []string
	list(oneOf("passive", "active"), func(place) *[]string { return &modes })(p, v)
	p.service.Passive, p.service.Active = false, false
	for i, m := range modes {
		mode := &p.service.Active
		if m == "passive" {
			mode = &p.service.Passive
		}
		if m != "" && *mode {
			value{v.r, element(v.at, i), m}.fail(describe(m) + " is in the list twice: write it once")
		}
		*mode = m != ""
	}
	if l, ok := v.any.([]any); ok && len(l) == 0 {
		v.fail(`empty: no transfer could ever run; write ["passive", "active"], or one of the two`)
	}
}
