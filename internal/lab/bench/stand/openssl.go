package stand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/pki"
)

// The kind openssl is openssl's own server and client with plain forwarding
// between them: what moving a file costs that is encrypted once and decrypted
// once. There is no FTP in it, and no gateway.
const opensslPort = "4433"

// opensslTLS is what the load generator speaks too.
var opensslTLS = []string{"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"}

// startOpenSSL serves the folder of the stand, with a file of zeros in it.
func startOpenSSL(ctx context.Context, st *Stand) error {
	c, err := st.certify(lab.ServerV4)
	if err != nil {
		return err
	}
	conf := filepath.Dir(c.chain)
	for _, size := range st.setting.Files {
		file, err := os.Create(filepath.Join(conf, "zeros-"+strconv.FormatInt(size, 10)))
		if err != nil {
			return err
		}
		err = file.Truncate(size) // zeros without a block on the disk
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	args := append([]string{"s_server", "-quiet", "-WWW", "-accept", opensslPort,
		"-cert", "/conf/" + pki.CertFile, "-key", "/conf/" + pki.KeyFile}, opensslTLS...)
	return st.launch(st.setting.Peers.Command(ctx, st.Lab.Server, []debian.Bind{{Host: conf, Inside: "/conf"}}, "openssl", args...))
}

// fetchOpenSSL fetches a file, over and over until a second has passed.
func fetchOpenSSL(ctx context.Context, st *Stand, size int64) (load.Outcome, error) {
	args := append([]string{"s_time", "-new", "-time", "1", "-connect", lab.ServerV4.String() + ":" + opensslPort,
		"-www", "/conf/zeros-" + strconv.FormatInt(size, 10)}, opensslTLS...)
	cmd := st.setting.Peers.Command(ctx, st.Lab.Client, nil, "openssl", args...)
	var said []byte
	o, err := load.Measure(func() (err error) {
		said, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return o, fmt.Errorf("openssl s_time: %w\n%s", err, said)
	}
	o.Count, o.Bytes, err = countOpenSSL(said)
	if err == nil && o.Bytes < int64(o.Count)*size {
		err = fmt.Errorf("openssl s_time: %d bytes came in %d times, want %d each time", o.Bytes, o.Count, size)
	}
	return o, err
}

var opensslCount = regexp.MustCompile(`(\d+) connections in \d+ real seconds, (\d+) bytes read per connection`)

// countOpenSSL reads what s_time says in the end.
func countOpenSSL(said []byte) (count int, bytes int64, err error) {
	m := opensslCount.FindSubmatch(said)
	if m == nil {
		return 0, 0, fmt.Errorf("openssl s_time says no count: %q", said)
	}
	count, countErr := strconv.Atoi(string(m[1]))
	each, eachErr := strconv.ParseInt(string(m[2]), 10, 64)
	return count, int64(count) * each, errors.Join(countErr, eachErr)
}
