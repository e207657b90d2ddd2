package alg

// Records follows one direction of a connection whose TLS passes by, and sees
// where it ends: plaintext comes again after CCC (RFC 4217 §5), perhaps in the
// segment that has the last record. The zero value stands at the beginning.
//
// TLS says of each record in clear what it is and how long (RFC 8446 §5.1,
// RFC 5246 §6.2.1); no line of FTP begins with one of its types.
type Records struct {
	at     int // bytes of the header that have passed
	length int // of the record, as far as its header has said it
	left   int // bytes of the record that are still to pass
	begun  bool
	ended  bool
	broken bool
}

const (
	recordHeader = 5            // type, version, length
	maxRecord    = 16384 + 2048 // a ciphertext of TLS 1.2; 1.3 allows less
	firstRecord  = 20           // change_cipher_spec
	lastRecord   = 24           // heartbeat
)

// Pass returns how many bytes of b belong to TLS. What follows them is
// plaintext, or, where Broken says so, nothing that can be made sense of. From
// then on Pass returns 0.
func (r *Records) Pass(b []byte) (n int) {
	for n < len(b) {
		if r.left > 0 {
			step := min(r.left, len(b)-n)
			r.left -= step
			n += step
			continue
		}
		if r.ended || r.broken || !r.header(b[n]) {
			break
		}
		n++
	}
	return n
}

// header takes the next byte of a header. It reports false where it cannot be one.
func (r *Records) header(c byte) bool {
	switch r.at {
	case 0:
		if c < firstRecord || c > lastRecord {
			r.ended, r.broken = r.begun, !r.begun
			return false
		}
	case 1:
		r.broken = c != 3 // all versions there are call themselves 3.x
	case 2:
	default:
		r.length = r.length<<8 | int(c)
		r.broken = r.length > maxRecord
	}
	if r.broken {
		return false
	}
	if r.at++; r.at == recordHeader {
		r.left, r.at, r.length, r.begun = r.length, 0, 0, true
	}
	return true
}

// Begun reports whether the header of a record has passed.
func (r *Records) Begun() bool { return r.begun }

// Broken reports whether the bytes were no TLS at the very beginning, or began
// like a record that cannot be one.
func (r *Records) Broken() bool { return r.broken }
