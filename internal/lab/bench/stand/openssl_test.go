package stand

import "testing"

func TestCountOfOpenSSL(t *testing.T) {
	const said = `Collecting connection statistics for 1 seconds
*

2 connections in 0.60s; 3.33 connections/user sec, bytes read 2147483738
2 connections in 2 real seconds, 1073741869 bytes read per connection
`
	if count, bytes, err := countOpenSSL([]byte(said)); count != 2 || bytes != 2147483738 || err != nil {
		t.Errorf("%d times %d bytes in all (%v), want 2 and 2147483738", count, bytes, err)
	}
	if count, bytes, err := countOpenSSL([]byte("connect: Connection refused")); err == nil {
		t.Errorf("%d times %d bytes of nothing", count, bytes)
	}
}
