package alg

// Verb is an FTP command the gateway knows by name. The set is closed, so it
// serves as a metric label; everything else is Other.
type Verb uint8

// The zero Verb is no command at all.
const (
	None Verb = iota
	Other
	ABOR
	ACCT
	ADAT
	ALGS
	ALLO
	APPE
	AUTH
	CCC
	CDUP
	CONF
	CPSV
	CWD
	DELE
	ENC
	EPRT
	EPSV
	ESTA
	ESTP
	FEAT
	HELP
	HOST
	LANG
	LIST
	LPRT
	LPSV
	MDTM
	MFMT
	MIC
	MKD
	MLSD
	MLST
	MODE
	NLST
	NOOP
	OPTS
	PASS
	PASV
	PBSZ
	PORT
	PROT
	PWD
	QUIT
	REIN
	REST
	RETR
	RMD
	RNFR
	RNTO
	SITE
	SIZE
	SMNT
	SPSV
	SSCN
	STAT
	STOR
	STOU
	STRU
	SYST
	TYPE
	USER
	XCUP
	XCWD
	XMKD
	XPWD
	XRMD
	verbs // how many there are
)

// traits are what the gateway must know of a verb to place it.
type traits uint16

const (
	setsUpPassive traits = 1 << iota // asks the server for a data port
	setsUpActive                     // tells the server a data port
	downloads                        // the three uses of the data connection,
	uploads                          //   as the client sees them
	lists
	logsIn      // its reply may change the login state
	securityCmd // RFC 2228: means nothing without AUTH
	foreignData // a data set-up that the gateway cannot translate
	hasPath     // its argument is a path, in which CR NUL is a CR (RFC 2640 §3.1)

	setsUp    = setsUpPassive | setsUpActive
	transfers = downloads | uploads | lists
)

var verbTable = [verbs]struct {
	name   string
	traits traits
}{
	None: {"", 0}, Other: {"OTHER", 0},
	ABOR: {"ABOR", 0}, ACCT: {"ACCT", logsIn}, ADAT: {"ADAT", securityCmd}, ALGS: {"ALGS", 0}, ALLO: {"ALLO", 0},
	APPE: {"APPE", uploads | hasPath}, AUTH: {"AUTH", 0}, CCC: {"CCC", securityCmd}, CDUP: {"CDUP", 0},
	CONF: {"CONF", securityCmd}, CPSV: {"CPSV", foreignData}, CWD: {"CWD", hasPath}, DELE: {"DELE", hasPath},
	ENC: {"ENC", securityCmd}, EPRT: {"EPRT", setsUpActive}, EPSV: {"EPSV", setsUpPassive},
	ESTA: {"ESTA", foreignData}, ESTP: {"ESTP", foreignData}, FEAT: {"FEAT", 0}, HELP: {"HELP", 0},
	HOST: {"HOST", 0}, LANG: {"LANG", 0}, LIST: {"LIST", lists | hasPath}, LPRT: {"LPRT", foreignData},
	LPSV: {"LPSV", foreignData}, MDTM: {"MDTM", hasPath}, MFMT: {"MFMT", hasPath}, MIC: {"MIC", securityCmd},
	MKD: {"MKD", hasPath}, MLSD: {"MLSD", lists | hasPath}, MLST: {"MLST", hasPath}, MODE: {"MODE", 0},
	NLST: {"NLST", lists | hasPath}, NOOP: {"NOOP", 0}, OPTS: {"OPTS", 0}, PASS: {"PASS", logsIn},
	PASV: {"PASV", setsUpPassive}, PBSZ: {"PBSZ", securityCmd}, PORT: {"PORT", setsUpActive},
	PROT: {"PROT", securityCmd}, PWD: {"PWD", 0}, QUIT: {"QUIT", 0}, REIN: {"REIN", 0}, REST: {"REST", 0},
	RETR: {"RETR", downloads | hasPath}, RMD: {"RMD", hasPath}, RNFR: {"RNFR", hasPath}, RNTO: {"RNTO", hasPath},
	SITE: {"SITE", 0}, SIZE: {"SIZE", hasPath}, SMNT: {"SMNT", hasPath}, SPSV: {"SPSV", foreignData},
	SSCN: {"SSCN", foreignData}, STAT: {"STAT", hasPath}, STOR: {"STOR", uploads | hasPath},
	STOU: {"STOU", uploads | hasPath}, STRU: {"STRU", 0}, SYST: {"SYST", 0}, TYPE: {"TYPE", 0},
	USER: {"USER", logsIn}, XCUP: {"XCUP", 0}, XCWD: {"XCWD", hasPath}, XMKD: {"XMKD", hasPath},
	XPWD: {"XPWD", 0}, XRMD: {"XRMD", hasPath},
}

// String returns the verb in upper case, OTHER for one that is not known.
func (v Verb) String() string { return verbTable[v].name }

// Verbs returns every verb that can stand in a Verdict.
func Verbs() []Verb {
	all := make([]Verb, 0, verbs-1)
	for v := Other; v < verbs; v++ {
		all = append(all, v)
	}
	return all
}

// SetsUp reports whether the command sets up a data connection.
func (v Verb) SetsUp() bool { return v.is(setsUp) }

func (v Verb) is(t traits) bool { return verbTable[v].traits&t != 0 }

// Direction is what a data command does, as the client sees it; 0: it is none.
func (v Verb) Direction() Direction {
	switch {
	case v.is(downloads):
		return Download
	case v.is(uploads):
		return Upload
	case v.is(lists):
		return Listing
	}
	return 0
}

// packed maps a verb, upper case in the bytes of a uint32, to its Verb.
var packed = func() map[uint32]Verb {
	m := make(map[uint32]Verb, verbs)
	for v := ABOR; v < verbs; v++ {
		key := uint32(0)
		for i := range len(v.String()) {
			key = key<<8 | uint32(v.String()[i])
		}
		m[key] = v
	}
	return m
}()

// parseVerb reads the verb that b begins with: a letter, then letters and
// digits, in either case (RFC 959 §5.3), up to a space or the end. It returns
// None where b does not begin with one.
func parseVerb(b []byte) (v Verb, rest []byte) {
	key, i := uint32(0), 0
	for ; i < len(b) && b[i] != ' '; i++ {
		c := b[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return None, nil
		}
		key = key<<8 | uint32(c)
	}
	if i == 0 {
		return None, nil
	}
	v, rest = Other, b[i:]
	if i <= 4 {
		if known, ok := packed[key]; ok {
			v = known
		}
	}
	return v, rest
}
