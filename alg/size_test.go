package alg

import "testing"

func TestSaidBytes(t *testing.T) {
	for reply, want := range map[string]int64{
		"150 Opening BINARY mode data connection for a b (1048576 bytes).\r\n": 1048576,
		"226 Transfer complete: 0 bytes\r\n":                                   0,
		"150 (1 bytes) for x (22 bytes)\r\n":                                   22,
		"150 Ok to send data.\r\n":                                             -1,
		"150 976.6 kbytes to download\r\n":                                     -1,
		"226 some bytes\r\n":                                                   -1,
		"226 bytes":                                                            -1,
		"150 (99999999999999999999 bytes)\r\n":                                 -1,
		"":                                                                     -1,
	} {
		n, ok := SaidBytes([]byte(reply))
		if ok != (want >= 0) || ok && int64(n) != want {
			t.Errorf("%q says %d, %t, want %d", reply, n, ok, want)
		}
	}
}
