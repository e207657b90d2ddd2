package conntrack

import "golang.org/x/net/bpf"

// Where attributes are in a message, and a value in an attribute.
const (
	attributes = 16 + headerLen // behind the netlink header and nfgenmsg
	attrHeader = 4
)

// eventFilter is a socket filter that passes the messages whose mark has all
// the bits, brief only those of translated flows. Conntrack sends each event in
// a message of its own, and leaves out a mark of 0.
func eventFilter(mark uint32, brief bool) ([]bpf.RawInstruction, error) {
	program := hasBits(ctaMark, mark)
	if brief {
		program = append(program, hasBits(ctaStatus, uint32(DNAT))...)
	}
	return bpf.Assemble(ending(program))
}

// refuse is where a jump goes that decides. ending puts the distance in its place.
const refuse = 0xff

// hasBits goes on where a 32-bit attribute in network order has all the bits.
func hasBits(attribute, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadConstant{Dst: bpf.RegA, Val: attributes},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attribute},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse},
		bpf.TAX{},
		bpf.LoadIndirect{Off: attrHeader, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: bits},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: bits, SkipTrue: refuse},
	}
}

// ending appends the two decisions, passing first, and aims the jumps at the other.
func ending(program []bpf.Instruction) []bpf.Instruction {
	for i := range program {
		if j, ok := program[i].(bpf.JumpIf); ok && j.SkipTrue == refuse {
			j.SkipTrue = uint8(len(program) - i)
			program[i] = j
		}
	}
	return append(program, bpf.RetConstant{Val: 0xffffffff}, bpf.RetConstant{Val: 0})
}
