package alg

import (
	"bytes"
	"strings"
	"testing"
)

// record is a TLS record of a type and so many bytes.
func record(kind byte, length int) string {
	return string([]byte{kind, 3, 3, byte(length >> 8), byte(length)}) + strings.Repeat("x", length)
}

func TestRecords(t *testing.T) {
	handshake, data, closing := record(22, 300), record(23, 16384+256), record(21, 26)
	tests := []struct {
		name, stream string
		want         int // bytes that belong to TLS
		broken       bool
	}{
		{"nothing", "", 0, false},
		{"records", handshake + data + closing, -1, false},
		{"half a header", handshake + data[:3], -1, false},
		{"half a record", handshake + data[:300], -1, false},
		{"an empty record", handshake + record(23, 0) + closing, -1, false},
		{"SSL 3.0 to TLS 1.3", "\x16\x03\x00\x00\x01x\x16\x03\x01\x00\x01x\x17\x03\x04\x00\x01x", -1, false},
		{"the longest record", handshake + record(23, 16384+2048), -1, false},
		{"edge 78: plaintext behind the last record", handshake + closing + "NOOP\r\n", len(handshake + closing), false},
		{"edge 78: a reply behind it", handshake + closing + "200 ok\r\n", len(handshake + closing), false},
		{"plaintext that looks like records", handshake + closing + "N" + handshake, len(handshake + closing), false},
		{"plaintext from the beginning", "USER demo\r\n", 0, true},
		{"a type that there is not", handshake + "\x19" + handshake[1:], len(handshake), false},
		{"a type below those there are", "\x13\x03\x03\x00\x01x", 0, true},
		{"SSL 2.0", "\x16\x02\x00\x00\x01x", 1, true},
		{"a header that goes wrong later", handshake + "\x16\x02\x00\x00\x01x", len(handshake) + 1, true},
		{"a record too long", handshake + "\x17\x03\x03\x48\x01" + data[5:], len(handshake) + 4, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if want < 0 {
				want = len(test.stream)
			}
			for _, segment := range []int{1, 2, 5, 7, 1000, len(test.stream) + 1} {
				var r Records
				if got := passed(&r, test.stream, segment); got != want || r.Broken() != test.broken {
					t.Errorf("in segments of %d bytes %d of %d are TLS, broken: %v; want %d, %v", segment, got, len(test.stream), r.Broken(), want, test.broken)
				}
				if begun := want >= recordHeader; r.Begun() != begun {
					t.Errorf("TLS has begun: %v after %d bytes", r.Begun(), want)
				}
				if want < len(test.stream) && r.Pass([]byte(handshake)) != 0 {
					t.Error("TLS goes on after its end")
				}
			}
		})
	}
}

// passed sends a stream through r in segments and returns how much of it is TLS.
func passed(r *Records, stream string, segment int) int {
	total := 0
	for len(stream) > 0 {
		step := min(segment, len(stream))
		n := r.Pass([]byte(stream[:step]))
		total += n
		if n < step {
			break
		}
		stream = stream[step:]
	}
	return total
}

// FuzzRecords: how a stream is cut into segments makes no difference, and what
// passes is what a reader of whole records would have taken.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(record(22, 3)+record(21, 2)+"NOOP\r\n"), byte(3))
	f.Add([]byte(record(23, 0)+"\x17\x03"), byte(1))
	f.Add([]byte("USER demo\r\n"), byte(2))
	f.Add([]byte("\x16\x03\x01\xff\xff"), byte(4))
	f.Fuzz(func(t *testing.T, stream []byte, segment byte) {
		var whole, cut Records
		n, broken := whole.Pass(stream), whole.Broken()
		if got := passed(&cut, string(stream), int(segment)+1); got != n || cut.Broken() != broken || cut.Begun() != whole.Begun() {
			t.Fatalf("%q has %d bytes of TLS, broken: %v; in segments of %d: %d, %v", stream, n, broken, int(segment)+1, got, cut.Broken())
		}
		left := stream
		for len(left) >= recordHeader && left[0] >= firstRecord && left[0] <= lastRecord && left[1] == 3 {
			length := int(left[3])<<8 | int(left[4])
			if length > maxRecord {
				break
			}
			left = left[min(recordHeader+length, len(left)):]
		}
		if n < len(stream)-len(left) || n > len(stream) || n >= len(stream)-len(left)+recordHeader {
			t.Fatalf("%q has %d bytes of TLS, its whole records %d", stream, n, len(stream)-len(left))
		}
		clear := n < len(stream) && !broken
		if clear && bytes.IndexByte([]byte{20, 21, 22, 23, 24}, stream[n]) >= 0 {
			t.Fatalf("%q ends its TLS before %q", stream, stream[n:])
		}
	})
}
