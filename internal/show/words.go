package show

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Size is a number of bytes, in the largest unit that leaves a whole one.
func Size(bytes uint64) string {
	if bytes < 1<<10 {
		return strconv.FormatUint(bytes, 10) + " B"
	}
	value, unit := float64(bytes), 0
	for value >= 1023.95 && unit < len("KMGTPE") { // 1024.0 of one is 1.0 of the next
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit-1])
}

// rate is bytes per second.
func rate(perSecond float64) string {
	if !(perSecond >= 0) || perSecond > math.MaxInt64 {
		return "-"
	}
	return Size(uint64(perSecond)) + "/s"
}

// Span is a duration in its two largest units.
func Span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// seconds is Span of what the API has in seconds.
func seconds(s float64) string {
	if !(s >= 0) || s > math.MaxInt32 {
		return "-"
	}
	return Span(time.Duration(s * float64(time.Second)))
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// number is for cells, where a row of zeros hides what is not.
func number[N int | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// host is an address without its port, which tells nobody anything.
func host(at string) string {
	if a, err := netip.ParseAddrPort(at); err == nil {
		return a.Addr().String()
	}
	return at
}

// or returns the first text that is not empty.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
