package stand

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/pki"
)

// gateConfig is a small configuration whose limits do not bind: all clients
// have one address here. The service ends with what a kind adds.
const gateConfig = `[admin]
socket = %q
[limits]
sessions_per_client = 0
new_per_client = ""
[[service]]
name = "files"
listen = ["198.51.100.1:21"]
backends = ["10.0.0.5:21"]
%s
`

// startFTPGate runs the daemon as its users do, with its usual log.
func startFTPGate(ctx context.Context, st *Stand) error {
	return st.startGate(ctx, `tls.mode = "refuse"`)
}

// startRelay has the daemon carry data that the kernel could carry.
func startRelay(ctx context.Context, st *Stand) error {
	return st.startGate(ctx, "tls.mode = \"refuse\"\ndata = \"relay\"")
}

// startTLS ends the clients' TLS at the gateway.
func startTLS(ctx context.Context, st *Stand) error {
	c, err := st.certify(lab.WanV4)
	if err != nil {
		return err
	}
	return st.startGate(ctx, fmt.Sprintf("tls = { mode = \"terminate\", certificate = %q, key = %q, require = true }", c.chain, c.key))
}

// startTLSTwice is startTLS with TLS to the server too.
func startTLSTwice(ctx context.Context, st *Stand) error {
	c, err := st.certify(lab.WanV4)
	if err != nil {
		return err
	}
	return st.startGate(ctx, fmt.Sprintf("tls = { mode = \"terminate\", certificate = %q, key = %q, require = true }\n"+
		"backend_tls = { mode = \"explicit\", ca = %q }", c.chain, c.key, st.caFile()))
}

func (st *Stand) startGate(ctx context.Context, service string) error {
	return st.startProgram(ctx, st.setting.Program, service)
}

func (st *Stand) startProgram(ctx context.Context, program, service string) error {
	config := filepath.Join(st.dir, "ftpgate.toml")
	text := fmt.Sprintf(gateConfig, filepath.Join(st.dir, "admin.sock"), service)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	return st.launch(st.Lab.Gateway.Command(ctx, program, "run", "-c", config))
}

// certificate is the files of one.
type certificate struct{ chain, key string }

// certify makes a certificate for an address, of the stand's own authority.
func (st *Stand) certify(addr netip.Addr) (certificate, error) {
	if st.authority == nil {
		var err error
		if st.authority, err = pki.New(); err != nil {
			return certificate{}, err
		}
		if err := st.authority.Write(st.dir); err != nil {
			return certificate{}, err
		}
	}
	c, err := st.authority.Issue(pki.Request{Addrs: []netip.Addr{addr}})
	if err != nil {
		return certificate{}, err
	}
	dir := filepath.Join(st.dir, "tls-"+addr.String())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return certificate{}, err
	}
	return certificate{filepath.Join(dir, pki.CertFile), filepath.Join(dir, pki.KeyFile)}, c.Write(dir)
}

func (st *Stand) caFile() string { return filepath.Join(st.dir, pki.CAFile) }
