package conntrack

import "golang.org/x/net/bpf"

// Offsets in a message: conntrack sends each event in one of its own.
const (
	typeOffset  = 4              // of the netlink header
	flagsOffset = 6              // likewise
	attributes  = 16 + headerLen // behind the netlink header and nfgenmsg
	attrHeader  = 4
)

// Message types and flags as BPF loads them: in network order, which netlink
// does not use.
const (
	swappedNew    = 0x0001 // IPCTNL_MSG_CT_NEW of the conntrack subsystem
	swappedCreate = 0x0006 // NLM_F_CREATE | NLM_F_EXCL: the flow is new
)

// eventFilter is a socket filter that passes the messages whose mark has all
// the bits. A mark of 0 is left out of them. A brief one passes only what
// ListenConfig.Brief says.
func eventFilter(mark uint32, brief bool) ([]bpf.RawInstruction, error) {
	if !brief {
		return bpf.Assemble(ending(hasBits(ctaMark, mark)))
	}
	program := hasBits(ctaMark, mark)
	program = append(program, hasBits(ctaStatus, uint32(DNAT))...)
	program = append(program,
		bpf.LoadAbsolute{Off: typeOffset, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: swappedNew, SkipTrue: refuse},
		bpf.LoadAbsolute{Off: flagsOffset, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swappedCreate, SkipTrue: pass},
		bpf.LoadConstant{Dst: bpf.RegA, Val: attributes},
		bpf.LoadConstant{Dst: bpf.RegX, Val: ctaProtoInfo},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr}, // A = offset of attribute X, 0 without one
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse},
		bpf.LoadConstant{Dst: bpf.RegX, Val: ctaProtoInfoTCP},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttrNested},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse},
		bpf.LoadConstant{Dst: bpf.RegX, Val: ctaTCPState},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttrNested},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: refuse},
		bpf.TAX{},
		bpf.LoadIndirect{Off: attrHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(TimeWait), SkipTrue: pass},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(Close), SkipTrue: pass},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 256, SkipTrue: pass, SkipFalse: refuse}, // never equal
	)
	return bpf.Assemble(ending(program))
}

// Where a jump goes to that decides. ending puts the distance in its place.
const (
	refuse = 0xfe
	pass   = 0xff
)

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

// ending appends the two decisions, passing first, and aims the jumps at them.
func ending(program []bpf.Instruction) []bpf.Instruction {
	end := len(program)
	aim := func(skip uint8, i int) uint8 {
		switch skip {
		case pass:
			return uint8(end - i - 1)
		case refuse:
			return uint8(end - i)
		}
		return skip
	}
	for i := range program {
		if j, ok := program[i].(bpf.JumpIf); ok {
			j.SkipTrue, j.SkipFalse = aim(j.SkipTrue, i), aim(j.SkipFalse, i)
			program[i] = j
		}
	}
	return append(program, bpf.RetConstant{Val: 0xffffffff}, bpf.RetConstant{Val: 0})
}
