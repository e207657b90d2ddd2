package alg

import "bytes"

// SaidBytes returns the number of bytes that a reply to a data command names, as
// servers do in "150 Opening BINARY mode data connection for f (1234 bytes)".
// The text is the server's word: what went over the wire may be something else.
func SaidBytes(reply []byte) (n uint64, ok bool) {
	end := bytes.LastIndex(reply, []byte(" bytes"))
	if end < 0 {
		return 0, false
	}
	start := end
	for start > 0 && isDigit(reply[start-1]) {
		start--
	}
	if digits := end - start; digits == 0 || digits > 18 || start < 4 {
		return 0, false
	}
	for _, d := range reply[start:end] {
		n = n*10 + uint64(d-'0')
	}
	return n, true
}
