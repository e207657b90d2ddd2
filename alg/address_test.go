package alg

import (
	"net/netip"
	"testing"
)

func TestFindTuple(t *testing.T) {
	tests := []struct {
		edge int
		text string
		want string // "": there is no address to be found
	}{
		{edge: 22, text: "Entering Passive Mode (10,0,0,5,195,80).", want: "10.0.0.5:50000"},
		{edge: 22, text: "Entering Passive Mode 10,0,0,5,195,80", want: "10.0.0.5:50000"},
		{edge: 22, text: "=10,0,0,5,195,80", want: "10.0.0.5:50000"},
		{edge: 22, text: "Entering Passive Mode. 10,0,0,5,200,13", want: "10.0.0.5:51213"},
		{edge: 22, text: "Passive mode 2 (10,0,0,5,195,80)", want: "10.0.0.5:50000"},
		{edge: 22, text: "Mode 4, IPv4, (10,0,0,5,195,80) in 60 s", want: "10.0.0.5:50000"},
		{edge: 22, text: "Entering Passive Mode [10,0,0,5,195,80]", want: "10.0.0.5:50000"},
		{edge: 22, text: "\xe9\xff(10,0,0,5,195,80)", want: "10.0.0.5:50000"},
		{edge: 22, text: "(10, 0, 0, 5, 195, 80)", want: "10.0.0.5:50000"},
		{edge: 22, text: "Logout.", want: ""},
		{edge: 22, text: "", want: ""},
		{edge: 22, text: "(10,0,0,5,195,80) or (10,0,0,5,195,81)", want: ""},
		{edge: 27, text: "(256,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(10,0,0,5,195,256)", want: ""},
		{edge: 27, text: "(10,0,0,5,195)", want: ""},
		{edge: 27, text: "(10,0,0,5,195,80,1)", want: ""},
		{edge: 27, text: "(10,0,0,5,195,80,)", want: ""},
		{edge: 27, text: "(,10,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(-10,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(10,0,0,-5,195,80)", want: ""},
		{edge: 27, text: "(+10,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(010,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(10,0,0,5,195,080)", want: ""},
		{edge: 27, text: "(10,0,0,5,195,00)", want: ""},
		{edge: 27, text: "(10 ,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(10,,0,5,195,80)", want: ""},
		{edge: 27, text: "(0x10,0,0,5,195,80)", want: ""},
		{edge: 27, text: "(4294967306,0,0,5,195,80)", want: ""},
		{edge: 27, text: "1.10,0,0,5,195,80", want: ""},
		{edge: 27, text: "port10,0,0,5,195,80", want: ""},
		{edge: 27, text: "10,0,0,5,195,80.1", want: ""},
		{edge: 27, text: "10,0,0,5,195,80th", want: ""},
		{edge: 28, text: "(10,0,0,5,0,0)", want: "10.0.0.5:0"}, // read; refused for its port
	}
	for _, test := range tests {
		at, where, ok := findTuple([]byte(test.text))
		switch {
		case ok != (test.want != ""):
			t.Errorf("edge %d: findTuple(%q) = %v, %v; want %q", test.edge, test.text, at, ok, test.want)
		case !ok:
		case at.String() != test.want:
			t.Errorf("edge %d: findTuple(%q) = %v, want %s", test.edge, test.text, at, test.want)
		default:
			if again, ok := parseRun([]byte(test.text[where.from:where.to])); !ok || again != at {
				t.Errorf("edge %d: findTuple(%q) says the address is %q", test.edge, test.text, test.text[where.from:where.to])
			}
		}
	}
}

func TestParseTuple(t *testing.T) {
	tests := []struct {
		edge int
		text string
		ok   bool
	}{
		{edge: 44, text: "198,51,100,7,8,1", ok: true},
		{edge: 44, text: "0,0,0,0,0,0", ok: true},
		{edge: 44, text: "255,255,255,255,255,255", ok: true},
		{edge: 44, text: "198,51,100,7,8", ok: false},
		{edge: 44, text: "198,51,100,7,8,1,2", ok: false},
		{edge: 44, text: "198,51,100,7,8,1 ", ok: false},
		{edge: 44, text: " 198,51,100,7,8,1", ok: false},
		{edge: 44, text: "198,51,100,7,8,1_", ok: false},
		{edge: 44, text: "(198,51,100,7,8,1)", ok: false},
		{edge: 44, text: "", ok: false},
		{edge: 44, text: ",,,,,", ok: false},
		{edge: 27, text: "198,51,100,7,256,22", ok: false},
		{edge: 27, text: "198,51,100,7,1000,22", ok: false},
		{edge: 27, text: "198,51,100,-7,8,1", ok: false},
		{edge: 27, text: "198,51,100,07,8,1", ok: false},
		{edge: 27, text: "198, 51,100,7,8,1", ok: false},
		{edge: 27, text: "198.51.100.7.8.1", ok: false},
	}
	for _, test := range tests {
		if at, ok := parseTuple([]byte(test.text)); ok != test.ok {
			t.Errorf("edge %d: parseTuple(%q) = %v, %v; want %v", test.edge, test.text, at, ok, test.ok)
		}
	}
}

func TestFindExtended(t *testing.T) {
	tests := []struct {
		edge int
		text string
		want uint16 // 0: there is no port to be found
	}{
		{edge: 25, text: "Entering Extended Passive Mode (|||50000|)", want: 50000},
		{edge: 25, text: "(!!!50000!)", want: 50000},
		{edge: 25, text: "(~~~50000~).", want: 50000},
		{edge: 25, text: "(|1|10.0.0.9|50000|)", want: 50000},
		{edge: 25, text: "(|2|fd00::9|50000|)", want: 50000},
		{edge: 25, text: "(extended) (|||50000|)", want: 50000},
		{edge: 25, text: "( (|||50000|)", want: 50000},
		{edge: 25, text: "(|||65535|)", want: 65535},
		{edge: 25, text: "(|||50000)", want: 0},
		{edge: 25, text: "(||50000|)", want: 0},
		{edge: 25, text: "(||||50000|)", want: 0},
		{edge: 25, text: "(|||50000|x)", want: 0},
		{edge: 25, text: "(   50000 )", want: 0},
		{edge: 25, text: "(\x7f\x7f\x7f50000\x7f)", want: 0},
		{edge: 25, text: "(11150000 1)", want: 0},
		{edge: 25, text: "|||50000|", want: 0},
		{edge: 25, text: "(|||50000|", want: 0},
		{edge: 25, text: "", want: 0},
		{edge: 27, text: "(|||0|)", want: 0},
		{edge: 27, text: "(|||65536|)", want: 0},
		{edge: 27, text: "(|||050000|)", want: 0},
		{edge: 27, text: "(|||-1|)", want: 0},
		{edge: 27, text: "(|||+50000|)", want: 0},
		{edge: 27, text: "(||| 50000|)", want: 0},
		{edge: 27, text: "(|||4294967297|)", want: 0},
	}
	for _, test := range tests {
		port, where, ok := findExtended([]byte(test.text))
		if port != test.want && ok || ok != (test.want != 0) {
			t.Errorf("edge %d: findExtended(%q) = %d, %v; want %d", test.edge, test.text, port, ok, test.want)
		}
		if part := test.text[where.from:where.to]; ok && (part[0] != '(' || part[len(part)-1] != ')') {
			t.Errorf("edge %d: findExtended(%q) says the address is %q", test.edge, test.text, part)
		}
	}
}

// FuzzTuple: what is read and written again is the same; what is written can be read.
func FuzzTuple(f *testing.F) {
	for _, s := range []string{"198,51,100,7,8,1", "255,255,255,255,255,255", "0,0,0,0,0,0", "1,2,3,4,5", "01,2,3,4,5,6"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at, ok := parseTuple(b)
		found, where, good := findTuple(b)
		if ok && string(appendTuple(nil, at)) != string(b) {
			t.Fatalf("%q is read as %v and written as %q", b, at, appendTuple(nil, at))
		}
		if ok && (!good || found != at || where != span{0, len(b)}) {
			t.Fatalf("parseTuple(%q) = %v, findTuple finds %v at %v", b, at, found, where)
		}
		if !good {
			return
		}
		text := append(append([]byte("227 ("), appendTuple(nil, found)...), ")\r\n"...)
		if again, _, ok := findTuple(text[4:]); !ok || again != found {
			t.Fatalf("%q is read as %v, %v; want %v", text, again, ok, found)
		}
	})
}

// FuzzExtended: the same for the arguments of EPRT and for 229.
func FuzzExtended(f *testing.F) {
	for _, s := range []string{"|1|198.51.100.7|2049|", "!2!2001:db8::7!65535!", "|2|::ffff:1.2.3.4|5000|", "|3|x|1|", "(|||50000|)"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, client := range []string{"198.51.100.7", "2001:db8::7"} {
			m := New(Config{Client: netip.MustParseAddr(client), Server: netip.MustParseAddr(client)})
			at, why := m.extendedAddress(b)
			if why != NoReason {
				continue
			}
			if at.Addr().Is4() != m.cfg.Client.Is4() || at.Addr().Zone() != "" || at.Port() == 0 {
				t.Fatalf("EPRT %q for %s is read as %v", b, client, at)
			}
			if again, why := m.extendedAddress(appendExtended(nil, at)); why != NoReason || again != at {
				t.Fatalf("%q is read as %v, %v; want %v", appendExtended(nil, at), again, why, at)
			}
		}
		port, where, ok := findExtended(b)
		if !ok {
			return
		}
		if port == 0 || where.to > len(b) || b[where.from] != '(' || b[where.to-1] != ')' {
			t.Fatalf("findExtended(%q) = %d at %v", b, port, where)
		}
		if again, _, ok := findExtended(appendExtendedPort(nil, port)); !ok || again != port {
			t.Fatalf("%q is read as %d, %v; want %d", appendExtendedPort(nil, port), again, ok, port)
		}
	})
}
