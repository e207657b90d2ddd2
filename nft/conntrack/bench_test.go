package conntrack_test

import (
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft/conntrack"
)

// BenchmarkDump reads the marked flows where there are none: the kernel walks
// its whole table, which all network namespaces share.
func BenchmarkDump(b *testing.B) {
	l := labtest.New(b, lab.Options{})
	var c *conntrack.Conn
	err := l.Gateway.Do(func() (err error) {
		c, err = conntrack.Dial()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if flows, err := c.Dump(mark, mark); err != nil || len(flows) != 0 {
			b.Fatal(flows, err)
		}
	}
}
