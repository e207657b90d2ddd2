package alg

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// edges are the inputs that the gateway must survive, by the numbers that the
// tests cite as "edge 27" (and tables as edge: 27). What a packet, a socket or a
// clock decides is tested outside of this package; elsewhere says where and why.
var edges = map[int]string{
	1:  "a command in segments of one byte",
	2:  "PASV and LIST in one segment",
	3:  "five pipelined commands with two PASV among them",
	4:  "lines that end in LF alone, a bare CR",
	5:  "CR NUL in a path and elsewhere",
	6:  "NUL in a command and in a password",
	7:  "a command longer than the limit",
	8:  "a reply line longer than the limit",
	9:  "an empty line, a line of blanks",
	10: "blanks before and behind a verb",
	11: "verbs in lower and mixed case",
	12: "eight-bit paths and passwords, a doubled 0xFF",
	13: "Telnet's Synch before ABOR",
	14: "a Synch whose urgent byte got lost",
	15: "Telnet options",
	16: "a Telnet command cut in two",
	17: "commands before the greeting",
	18: "a TLS handshake where none is expected",
	19: "a 227 within another reply",
	20: "a 227 of several lines",
	21: "another code within a reply of several lines",
	22: "a 227 without parentheses, with other digits, with nothing",
	23: "a goodbye with the code 227",
	24: "a 227 without a PASV",
	25: "a 229 with odd delimiters and with an address",
	26: "a 229 to PASV, a 227 to EPSV",
	27: "numbers that are none: 256, seven of them, signs, leading zeros",
	28: "a port of the server below 1024",
	29: "a 227 with another address",
	30: "a server's port that is the gateway's own",
	31: "125 or 150, then 226 or 250",
	32: "226 without a 150",
	33: "each failure of a transfer",
	34: "421 at any time",
	35: "120 before 220",
	36: "a banner of a hundred lines",
	37: "one, two and three replies to ABOR",
	38: "more replies than commands",
	39: "the server closes while data runs",
	40: "which replies log in",
	41: "FEAT with what the gateway does not carry",
	42: "HELP and STAT that talk of PORT and 227",
	43: "a first line that is no greeting",
	44: "PORT with the wrong syntax",
	45: "PORT with another host's address",
	46: "PORT with a port below 1024",
	47: "EPRT of the other family",
	48: "EPRT with a mapped, scoped or special address",
	49: "EPSV and its arguments",
	50: "another set-up after EPSV ALL",
	51: "LPRT and its like",
	52: "two PASV in a row",
	53: "PASV then PORT, PORT then PASV",
	54: "a PASV that nobody uses",
	55: "RETR without a set-up",
	56: "PASV during a transfer",
	57: "PASV refused, then EPSV, then PORT",
	60: "the data connection before the 150",
	61: "a data connection that never comes",
	62: "a passive client that connects twice",
	63: "block mode",
	64: "server to server",
	65: "REST, ALLO, STOU",
	67: "ABOR before the data connection",
	68: "STAT during a transfer",
	69: "NOOP during a transfer",
	70: "USER twice, PASS first, failed logins",
	71: "REIN",
	72: "HOST",
	73: "a user name with an @",
	74: "AUTH with bytes behind it, twice, after the login, with another mechanism",
	75: "AUTH that the server refuses",
	76: "PROT before PBSZ, levels that there are not, PROT C where P is required",
	77: "a data connection that does not resume the session's TLS",
	78: "CCC, and plaintext in the segment of the last record",
	79: "a control connection that ends without a word",
	80: "QUIT during a transfer",
	81: "half-closed control connections",
	82: "a client that resets",
	83: "a backend that cannot be reached",
	84: "a backend with several addresses",
	85: "no port left",
	86: "the kernel does not take a pinhole",
	90: "PASV on an IPv6 control connection",
}

// elsewhere are the edges that no line decides: the package whose tests hold
// them, and why it is that one.
var elsewhere = map[int]string{
	39: "proxy: what becomes of a session whose server's socket ends",
	62: "nft: the kernel lets the first of two SYNs through",
	79: "proxy: the end of a socket is the session's to see",
	81: "proxy: half-closing is done with sockets",
	82: "proxy: a reset comes from a socket",
	83: "proxy: the session dials the backend",
	84: "proxy: the session dials the backend",
}

var citation = regexp.MustCompile(`\bedges? ?:? ?(\d+(?:(?:, | and )\d+)*)`)

// TestEveryEdgeHasATest looks for each number in the tests and scripts of all packages.
func TestEveryEdgeHasATest(t *testing.T) {
	cited := map[int]bool{}
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "..":
			return filepath.SkipDir // caches and the history are not ours
		case entry.IsDir(), filepath.Base(path) == "edges_test.go":
			return nil
		case !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/testdata/"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range citation.FindAllStringSubmatch(string(text), -1) {
			for _, number := range regexp.MustCompile(`\d+`).FindAllString(m[1], -1) {
				n, _ := strconv.Atoi(number)
				cited[n] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Sorted(maps.Keys(edges)) {
		if !cited[n] && elsewhere[n] == "" {
			t.Errorf("edge %d (%s) has no test", n, edges[n])
		}
	}
}
