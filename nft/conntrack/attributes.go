package conntrack

import (
	"encoding/binary"
	"fmt"
)

// attributes are walked over with next. Ours and not the library's, which makes
// a decoder for each that holds others, four dozen allocations to a flow: the
// flows of a minute of transfers are read every few seconds.
type attributes struct {
	rest  []byte
	kind  uint16
	value []byte
	err   error // what is wrong with them; next then ends
}

// next goes to the next attribute.
func (a *attributes) next() bool {
	if a.err != nil || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < attrHeader {
		a.fail("an attribute of %d bytes has no header", len(a.rest))
		return false
	}
	size := int(binary.NativeEndian.Uint16(a.rest))
	if size < attrHeader || size > len(a.rest) {
		a.fail("an attribute of %d bytes in %d", size, len(a.rest))
		return false
	}
	const flags = 0xc000 // NLA_F_NESTED, NLA_F_NET_BYTEORDER
	a.kind = binary.NativeEndian.Uint16(a.rest[2:]) &^ flags
	a.value = a.rest[attrHeader:size]
	a.rest = a.rest[min((size+3)&^3, len(a.rest)):]
	return true
}

func (a *attributes) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// nested are the attributes in the present one. What is wrong with them is known
// to the caller by join.
func (a *attributes) nested() attributes { return attributes{rest: a.value} }

// join notes what was wrong with nested ones.
func (a *attributes) join(err error) {
	if a.err == nil {
		a.err = err
	}
}

// fixed returns the value if it is of that size, and zeros otherwise.
func (a *attributes) fixed(size int) []byte {
	if len(a.value) != size {
		a.fail("attribute %d has %d bytes, not %d", a.kind, len(a.value), size)
		return make([]byte, size)
	}
	return a.value
}

func (a *attributes) uint8() uint8   { return a.fixed(1)[0] }
func (a *attributes) uint16() uint16 { return binary.BigEndian.Uint16(a.fixed(2)) }
func (a *attributes) uint32() uint32 { return binary.BigEndian.Uint32(a.fixed(4)) }
func (a *attributes) uint64() uint64 { return binary.BigEndian.Uint64(a.fixed(8)) }
