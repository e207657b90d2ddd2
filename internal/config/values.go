package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ftpgate/proxy"
)

// shortest is the least that a timeout can be, and shortestPinhole one that
// pinholes are renewed before.
const (
	shortest        = 100 * time.Millisecond
	shortestPinhole = time.Second
)

// describe names a value in a problem.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 80 {
			v = v[:80] + "…"
		}
		return strconv.Quote(v)
	case bool, int64, uint16, float64:
		return fmt.Sprint(v)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	default:
		return "a list"
	}
}

func text(v any) (string, error) {
	switch s := v.(type) {
	case string:
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "", fmt.Errorf("%s has control characters: write it without", describe(s))
		}
		return s, nil
	case bool, int64, float64:
		return "", fmt.Errorf(`%v is not text: write it in quotes, "%v"`, s, s)
	default:
		return "", fmt.Errorf("%s is not text: write one text in quotes", describe(s))
	}
}

// optional is parse for keys that "" turns off.
func optional[T any](parse parser[T]) parser[T] {
	return func(v any) (T, error) {
		var zero T
		if v == "" {
			return zero, nil
		}
		return parse(v)
	}
}

// oneOf accepts the words given.
func oneOf(words ...string) parser[string] {
	return func(v any) (string, error) {
		s, err := text(v)
		if err == nil && !slices.Contains(words, s) {
			err = fmt.Errorf("%s is not one of the values: write %s", describe(s), orList(words))
		}
		return s, err
	}
}

// orList is "a", "b" or "c".
func orList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

func boolean(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s is neither true nor false: write one of them, without quotes", describe(v))
	}
	return b, nil
}

// off accepts false of a key that a later version can turn on.
func off(today string) parser[bool] {
	return func(v any) (bool, error) {
		b, err := boolean(v)
		if err == nil && b {
			err = fmt.Errorf("true is %s: %s; write false", unavailable, today)
		}
		return false, err
	}
}

func mode(v any) (proxy.Mode, error) {
	s, err := oneOf(string(proxy.Reverse), string(proxy.Forward))(v)
	return proxy.Mode(s), err
}

// source says whether servers see the client's own address.
func source(v any) (bool, error) {
	s, err := oneOf("gateway", "client")(v)
	return s == "client", err
}

func owner(v any) (bool, error) {
	s, err := oneOf("auto", "off")(v)
	return s == "auto", err
}

func activeAddress(v any) (bool, error) {
	s, err := oneOf("reject", "peer")(v)
	return s == "peer", err
}

func level(v any) (slog.Level, error) {
	var l slog.Level
	s, err := oneOf("debug", "info", "warn", "error")(v)
	if err != nil {
		return l, err
	}
	return l, l.UnmarshalText([]byte(s))
}

func count(v any) (int, error) {
	n, ok := v.(int64)
	switch {
	case !ok:
		return 0, fmt.Errorf("%s is not a whole number: write one, without quotes", describe(v))
	case n < 0 || n > 1<<30:
		return 0, fmt.Errorf("%d is not from 0 to %d", n, 1<<30)
	}
	return int(n), nil
}

var rateForm = regexp.MustCompile(`^([1-9][0-9]{0,8})/([smh])$`)

func rate(v any) (proxy.Rate, error) {
	s, err := text(v)
	if err != nil {
		return proxy.Rate{}, err
	}
	m := rateForm.FindStringSubmatch(s)
	if m == nil {
		return proxy.Rate{}, fmt.Errorf(`%s is not a rate: write COUNT/s, COUNT/m or COUNT/h, e.g. "600/m", or "" for no limit`, describe(s))
	}
	n, err := strconv.Atoi(m[1])
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[m[2]]
	return proxy.Rate{Count: n, Per: per}, err
}

func duration(v any) (time.Duration, error) {
	s, ok := v.(string)
	if !ok {
		return 0, fmt.Errorf(`%s is not a duration: write it with its unit in quotes, e.g. "30s" or "15m"`, describe(v))
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf(`%s is not a duration: write a number with its unit, e.g. "30s" or "15m"`, describe(s))
	case d < shortest:
		return 0, fmt.Errorf("%q is too short: write at least %q", s, shortest)
	}
	return d, nil
}

func mark(v any) (uint32, error) {
	form := errors.New(`write exactly one bit of 32, e.g. "0x00000400"`)
	n, ok := v.(int64)
	if s, isText := v.(string); isText {
		u, err := strconv.ParseUint(s, 0, 32)
		n, ok = int64(u), err == nil
	}
	switch {
	case !ok:
		return 0, fmt.Errorf("%s is not a mark: %w", describe(v), form)
	case n < 0 || n > 1<<32-1 || bits.OnesCount64(uint64(n)) != 1:
		return 0, fmt.Errorf("%s is not one bit: %w", describe(v), form)
	}
	return uint32(n), nil
}

var (
	// What nft reads as one word, and a file name can be made of.
	tableForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	labelForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
)

func tableName(v any) (string, error) {
	s, err := text(v)
	if err == nil && !tableForm.MatchString(s) {
		err = fmt.Errorf("%s is not a name for a table: write a letter, then up to 62 letters, digits, _ and -", describe(s))
	}
	return s, err
}

func label(v any) (string, error) {
	s, err := text(v)
	if err == nil && !labelForm.MatchString(s) {
		err = fmt.Errorf("%s is not a name: write up to 63 letters, digits, _, - and dots, a letter or digit first", describe(s))
	}
	return s, err
}

// filePath is the path of a file. It is absolute: what a path begins at is not
// to depend on where the daemon was started.
func filePath(example string) parser[string] {
	return func(v any) (string, error) {
		s, err := text(v)
		if err == nil && !strings.HasPrefix(s, "/") {
			err = fmt.Errorf(`%s is not an absolute path: write e.g. %q`, describe(s), example)
		}
		return s, err
	}
}

func webConfig(v any) (string, error) { return filePath("/etc/ftpgate/web.yml")(v) }

// auditFile is a file to append to.
func auditFile(name string) parser[string] {
	return func(v any) (string, error) {
		s, err := filePath("/var/log/ftpgate/" + name)(v)
		if err == nil && strings.HasSuffix(s, "/") {
			err = fmt.Errorf("%s is a folder: write the path of a file, e.g. %q", describe(s), s+name)
		}
		return s, err
	}
}

// onError says whether sessions are refused that nobody can write down.
func onError(v any) (bool, error) {
	s, err := oneOf("continue", "refuse")(v)
	return s == "refuse", err
}

// socket is the path of a Unix socket; the kernel has 108 bytes for it, the
// last of them zero (unix(7)).
func socket(v any) (string, error) {
	s, err := text(v)
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(s, "/"):
		return "", fmt.Errorf(`%s is not an absolute path: write e.g. "/run/ftpgate/admin.sock", or "" for no socket`, describe(s))
	case len(s) > 107:
		return "", fmt.Errorf("%s is %d bytes long: write a path of at most 107", describe(s), len(s))
	}
	return s, nil
}

func ports(v any) (proxy.PortRange, error) {
	s, err := text(v)
	if err != nil {
		return proxy.PortRange{}, err
	}
	return portRange(s, "61000-64999")
}

func portRange(s, example string) (proxy.PortRange, error) {
	from, to, _ := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	switch {
	case err1 != nil || err2 != nil:
		return proxy.PortRange{}, fmt.Errorf("%s is not a range: write FIRST-LAST, e.g. %q", describe(s), example)
	case first < 1024:
		return proxy.PortRange{}, fmt.Errorf("%q begins below 1024: servers and clients refuse such ports; write 1024 or more", s)
	case first > last:
		return proxy.PortRange{}, fmt.Errorf("%q ends before it begins: write \"%d-%d\"", s, last, first)
	}
	return proxy.PortRange{First: uint16(first), Last: uint16(last)}, nil
}
