package alg

import (
	"bytes"
	"net/netip"
	"strconv"
)

// span is where in a line an address stands: line[from:to].
type span struct{ from, to int }

// parseTuple reads h1,h2,h3,h4,p1,p2 (RFC 959 §4.1.2, PORT): exactly six
// decimal numbers of 0 to 255, without signs, blanks or leading zeros.
func parseTuple(b []byte) (netip.AddrPort, bool) {
	var n [6]byte
	for i := range n {
		if i > 0 {
			if len(b) == 0 || b[0] != ',' {
				return netip.AddrPort{}, false
			}
			b = b[1:]
		}
		v, rest, ok := parseOctet(b)
		if !ok {
			return netip.AddrPort{}, false
		}
		n[i], b = v, rest
	}
	if len(b) != 0 {
		return netip.AddrPort{}, false
	}
	return tuple(n), true
}

func tuple(n [6]byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), uint16(n[4])<<8|uint16(n[5]))
}

// parseOctet reads a number of 0 to 255 off the front of b. Each number is
// checked before numbers are combined, or 256 would bleed into its neighbour.
func parseOctet(b []byte) (v byte, rest []byte, ok bool) {
	i, n := 0, 0
	for i < len(b) && i < 3 && isDigit(b[i]) {
		n = n*10 + int(b[i]-'0')
		i++
	}
	if i == 0 || n > 255 || (i > 1 && b[0] == '0') || (i < len(b) && isDigit(b[i])) {
		return 0, nil, false
	}
	return byte(n), b[i:], true
}

// findTuple looks for the six numbers in the free text of a 227 (RFC 1123
// §4.1.2.6: parentheses are optional). A run of numbers and commas counts only
// as a whole, blanks after commas tolerated; two good runs are no answer, and one
// that is part of a word or of a number of another kind is none.
func findTuple(b []byte) (at netip.AddrPort, where span, ok bool) {
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			continue
		}
		end := runEnd(b, i)
		if !joined(b, i, end) {
			if a, good := parseRun(b[i:end]); good {
				if ok {
					return netip.AddrPort{}, span{}, false
				}
				at, where, ok = a, span{i, end}, true
			}
		}
		i = end
	}
	return at, where, ok
}

// joined reports whether the run b[from:to] goes on in what stands around it: a
// word, a sign, a number with a point.
func joined(b []byte, from, to int) bool {
	if from > 0 {
		switch c := b[from-1]; {
		case isLetter(c), c == '-', c == '+', c == '.', c == ',':
			return true
		}
	}
	return to < len(b) && (isLetter(b[to]) || b[to] == '.' && to+1 < len(b) && isDigit(b[to+1]))
}

// runEnd returns the end of the run of digits, commas and blanks behind commas
// that begins at i. A comma belongs to it even where no digit follows.
func runEnd(b []byte, i int) int {
	for i < len(b) {
		switch {
		case isDigit(b[i]):
		case b[i] == ',':
			for i+1 < len(b) && b[i+1] == ' ' {
				i++
			}
		default:
			return i
		}
		i++
	}
	return i
}

func parseRun(b []byte) (netip.AddrPort, bool) {
	var n [6]byte
	for i := range n {
		if i > 0 {
			if len(b) == 0 || b[0] != ',' {
				return netip.AddrPort{}, false
			}
			b = bytes.TrimLeft(b[1:], " ")
		}
		v, rest, ok := parseOctet(b)
		if !ok {
			return netip.AddrPort{}, false
		}
		n[i], b = v, rest
	}
	return tuple(n), len(b) == 0
}

// findExtended looks for (<d><d><d>port<d>) in a 229 (RFC 2428 §3). An address
// between the delimiters, which some old servers send, is skipped: the data
// connection goes to the control connection's peer.
func findExtended(b []byte) (port uint16, where span, ok bool) {
	for from := 0; ; from++ {
		i := bytes.IndexByte(b[from:], '(')
		if i < 0 {
			return 0, span{}, false
		}
		from += i
		end := bytes.IndexByte(b[from:], ')')
		if end < 0 {
			return 0, span{}, false
		}
		fields, good := extendedFields(b[from+1 : from+end])
		if !good {
			continue
		}
		if port, good = parsePort(fields[2]); good {
			return port, span{from, from + end + 1}, true
		}
	}
}

// extendedFields splits <d>family<d>address<d>port<d>, whatever the delimiter
// (RFC 2428 §2: any of ASCII 33 to 126).
func extendedFields(b []byte) (fields [3][]byte, ok bool) {
	if len(b) < 5 || b[0] < 33 || b[0] > 126 || isDigit(b[0]) {
		return fields, false
	}
	d := b[0]
	b = b[1:]
	for i := range fields {
		end := bytes.IndexByte(b, d)
		if end < 0 {
			return fields, false
		}
		fields[i], b = b[:end], b[end+1:]
	}
	return fields, len(b) == 0
}

// parsePort reads a decimal port of 1 to 65535 without leading zeros.
func parsePort(b []byte) (uint16, bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}

// appendTuple writes at as h1,h2,h3,h4,p1,p2. The address must be IPv4.
func appendTuple(b []byte, at netip.AddrPort) []byte {
	for _, n := range at.Addr().As4() {
		b = strconv.AppendUint(b, uint64(n), 10)
		b = append(b, ',')
	}
	b = strconv.AppendUint(b, uint64(at.Port()>>8), 10)
	b = append(b, ',')
	return strconv.AppendUint(b, uint64(at.Port()&0xff), 10)
}

// appendExtended writes at as the argument of EPRT with the usual delimiter.
func appendExtended(b []byte, at netip.AddrPort) []byte {
	family := byte('1')
	if at.Addr().Is6() {
		family = '2'
	}
	b = append(b, '|', family, '|')
	b = at.Addr().AppendTo(b)
	b = append(b, '|')
	b = strconv.AppendUint(b, uint64(at.Port()), 10)
	return append(b, '|')
}

// appendExtendedPort writes a port as a 229 has it: (|||port|).
func appendExtendedPort(b []byte, port uint16) []byte {
	b = append(b, "(|||"...)
	b = strconv.AppendUint(b, uint64(port), 10)
	return append(b, "|)"...)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
