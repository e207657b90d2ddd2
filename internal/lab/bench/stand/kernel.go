package stand

import (
	"context"
	"fmt"
	"os/exec"

	"ftpgate/internal/lab"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// startKernel installs what an admin would who uses the kernel's own helper:
//
//	table ip kernel {
//	  ct helper ftp { type "ftp" protocol tcp; l3proto ip }
//	  chain dnat    { type nat hook prerouting priority dstnat
//	                  ip daddr 198.51.100.1 tcp dport 21 dnat to 10.0.0.5:21 }
//	  chain assign  { type filter hook prerouting priority filter
//	                  tcp dport 21 ct helper set "ftp" }
//	  chain forward { type filter hook forward priority filter; policy drop
//	                  ct state established,related accept
//	                  ip daddr 10.0.0.5 tcp dport 21 accept }
//	}
//
// It stays for the life of the stand: there is no process to restart.
func startKernel(ctx context.Context, st *Stand) error {
	// Nothing loads the second one by itself. Where both are part of the kernel
	// there may be no module to load; where they are missing, transfers show it.
	_ = exec.CommandContext(ctx, "modprobe", "-a", "nf_conntrack_ftp", "nf_nat_ftp").Run()
	return st.Lab.Gateway.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTables()
		if err != nil || len(tables) > 0 {
			return err
		}
		enqueueKernel(c)
		if err := c.Flush(); err != nil {
			return fmt.Errorf("install the FTP helper (does this kernel have nf_conntrack_ftp?): %w", err)
		}
		return nil
	})
}

func enqueueKernel(c *nftables.Conn) {
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "kernel"})
	c.AddObj(&nftables.NamedObj{Table: table, Name: "ftp", Type: nftables.ObjTypeCtHelper,
		Obj: &expr.CtHelper{Name: "ftp", L3Proto: unix.NFPROTO_IPV4, L4Proto: unix.IPPROTO_TCP}})
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, at *nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: hook, Priority: at, Policy: &policy})
	}
	rule := func(chain *nftables.Chain, parts ...[]expr.Any) {
		r := &nftables.Rule{Table: table, Chain: chain}
		for _, p := range parts {
			r.Exprs = append(r.Exprs, p...)
		}
		c.AddRule(r)
	}

	dnat := chain("dnat", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept)
	rule(dnat, destined(lab.WanV4.AsSlice()), toFTP(), []expr.Any{
		&expr.Immediate{Register: 1, Data: lab.ServerV4.AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(21)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	})
	assign := chain("assign", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityFilter, nftables.ChainPolicyAccept)
	rule(assign, toFTP(), []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCtHelper), Name: "ftp"}})

	forward := chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	accept := []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	rule(forward, []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Xor: make([]byte, 4),
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}, accept)
	rule(forward, destined(lab.ServerV4.AsSlice()), toFTP(), accept)
}

// destined matches "ip daddr".
func destined(to []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: to},
	}
}

// toFTP matches "tcp dport 21".
func toFTP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(21)},
	}
}
