package alg

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cut sends data through lines in segments of so many bytes and returns what
// Next hands out, quoted.
func cut(lines *Lines, data string, segment int) []string {
	var out []string
	for len(data) > 0 {
		space := lines.Space()
		n := copy(space[:min(segment, len(space))], data)
		data = data[n:]
		lines.Filled(n)
		for line := lines.Next(); line != nil; line = lines.Next() {
			out = append(out, string(line))
		}
	}
	return out
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 32)
	tests := []struct {
		name, data string
		want       []string
		rest       string
	}{
		{"nothing", "", nil, ""},
		{"no end", "NOOP", nil, "NOOP"},
		{"two lines", "A\r\nB\r\n", []string{"A\r\n", "B\r\n"}, ""},
		{"empty lines", "\n\r\n\n", []string{"\n", "\r\n", "\n"}, ""},
		{"exactly the limit", long[:30] + "\r\nB\r\n", []string{long[:30] + "\r\n", "B\r\n"}, ""},
		{"one byte more, CR and LF apart", long[:31] + "\r\nB\r\n", []string{long[:31] + "\r", "\n", "B\r\n"}, ""},
		{"two bytes more", long + "\r\nB\r\n", []string{long, "\r\n", "B\r\n"}, ""},
		{"several limits", long + long + "x\n", []string{long, long, "x\n"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, segment := range []int{1, 2, 7, 31, 32, 33, 1000} {
				lines := NewLines(32)
				if diff := cmp.Diff(test.want, cut(&lines, test.data, segment)); diff != "" {
					t.Errorf("in segments of %d bytes (-want +got):\n%s", segment, diff)
				}
				if got := string(lines.Pending()); got != test.rest {
					t.Errorf("in segments of %d bytes %q is pending, want %q", segment, got, test.rest)
				}
				if got := string(lines.Rest()); got != test.rest {
					t.Errorf("in segments of %d bytes the rest is %q, want %q", segment, got, test.rest)
				}
				if again := lines.Rest(); len(again) != 0 {
					t.Errorf("the rest came twice: %q", again)
				}
			}
		})
	}
}

// A line of the limit ends at the border of a segment, in each way that it can.
func TestLinesLimitAtSegmentBorder(t *testing.T) {
	for _, limit := range []int{MaxCommand, MaxReply} {
		for _, length := range []int{limit - 1, limit, limit + 1, limit + 2, 2 * limit} {
			data := strings.Repeat("x", length-2) + "\r\nNOOP\r\n"
			for _, segment := range []int{limit - 2, limit - 1, limit, limit + 1, 512, 513} {
				lines := NewLines(limit)
				got := cut(&lines, data, segment)
				if strings.Join(got, "") != data || got[len(got)-1] != "NOOP\r\n" {
					t.Fatalf("limit %d, line of %d, segments of %d: %d pieces, the last %q", limit, length, segment, len(got), got[len(got)-1])
				}
				if whole := len(got) == 2; whole != (length <= limit) {
					t.Errorf("limit %d, line of %d, segments of %d: came in %d pieces", limit, length, segment, len(got)-1)
				}
			}
		}
	}
}

// An idle session must be small: before its first byte, between short lines
// and after a long one.
func TestLinesIdleSize(t *testing.T) {
	lines := NewLines(MaxReply)
	if lines.buf != nil {
		t.Errorf("a new Lines has a buffer of %d bytes", len(lines.buf))
	}
	cut(&lines, strings.Repeat("NOOP\r\n", 10000), 4096)
	if len(lines.buf) > firstBuffer {
		t.Errorf("short lines left a buffer of %d bytes", len(lines.buf))
	}
	cut(&lines, strings.Repeat("x", MaxReply-2)+"\r\n", 4096)
	if len(lines.buf) > MaxReply {
		t.Errorf("a line of the limit grew the buffer to %d bytes", len(lines.buf))
	}
	if lines.Space(); len(lines.buf) > firstBuffer {
		t.Errorf("a session idle after a long line keeps a buffer of %d bytes", len(lines.buf))
	}
}

// Space has room whenever lines are taken out, and grows no further than the limit.
func TestLinesSpace(t *testing.T) {
	lines := NewLines(MaxCommand)
	for i := range 3 * MaxCommand {
		space := lines.Space()
		if len(space) == 0 {
			t.Fatalf("no space after %d bytes without a line end", i)
		}
		space[0] = 'x'
		lines.Filled(1)
		for lines.Next() != nil {
		}
	}
	if len(lines.buf) > MaxCommand {
		t.Errorf("the buffer grew to %d bytes", len(lines.buf))
	}
}

// FuzzLines: the same lines however the stream is cut, nothing lost, no piece
// longer than the limit, none without a LF but of the limit.
func FuzzLines(f *testing.F) {
	f.Add([]byte("USER a\r\nPASS b\r\nPASV\r\n"), []byte{1, 3, 200})
	f.Add(append(bytes.Repeat([]byte("x"), 63), "\r\n\n\r\nNOOP"...), []byte{64, 1})
	f.Fuzz(func(t *testing.T, data, segments []byte) {
		const limit = 64
		whole := NewLines(limit)
		want := cut(&whole, string(data), limit)
		lines, rest := NewLines(limit), string(data)
		var got []string
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(segments) > 0 {
				n = min(n, 1+int(segments[i%len(segments)]))
			}
			got = append(got, cut(&lines, rest[:n], n)...)
			rest = rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("cut in another way: %q, want %q", got, want)
		}
		if all := strings.Join(got, "") + string(lines.Pending()); all != string(data) {
			t.Fatalf("%q came out of %q", all, data)
		}
		for _, line := range got {
			if end := strings.IndexByte(line, '\n'); end >= 0 && end != len(line)-1 || end < 0 && len(line) != limit || len(line) > limit {
				t.Fatalf("a line of %d bytes: %q", len(line), fmt.Sprint(line))
			}
		}
	})
}
