package conntrack

import "golang.org/x/net/bpf"

// Where attributes are in a message, and a value in an attribute.
const (
	firstAttr  = 16 + headerLen // behind the netlink header and nfgenmsg
	attrHeader = 4
)

// eventFilter is a socket filter that passes the messages whose mark has all
// the bits, brief only those of translated flows. Conntrack sends each event in
// a message of its own, and leaves out a mark of 0.
func eventFilter(mark uint32, brief bool) ([]bpf.RawInstruction, error) {
	program := hasAll(ctaMark, mark)
	if brief {
		program = append(program, hasAny(ctaStatus, uint32(translated))...)
	}
	return bpf.Assemble(ending(program))
}

// refuse is where a jump goes that decides. ending puts the distance in its place.
const refuse = 0xff

// hasAll goes on where an attribute has all the bits, hasAny where it has some.
func hasAll(attribute, bits uint32) []bpf.Instruction {
	return append(loadBits(attribute, bits), bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: bits, SkipTrue: refuse})
}

func hasAny(attribute, bits uint32) []bpf.Instruction {
	return append(loadBits(attribute, bits), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse})
}

// loadBits loads some bits of a 32-bit attribute in network order, which must be there.
func loadBits(attribute, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadConstant{Dst: bpf.RegA, Val: firstAttr},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attribute},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse},
		bpf.TAX{},
		bpf.LoadIndirect{Off: attrHeader, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: bits},
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
