package stand

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ftpgate/internal/lab/debian"
)

// The passive ports that HAProxy is told to forward: few enough that nine
// thousand sessions and they fit into twenty thousand descriptors.
const (
	firstStatic = 61000
	lastStatic  = 61999
)

// HAProxy knows nothing of FTP. Two threads are its default on two processors.
var haproxyConfig = fmt.Sprintf(`global
  maxconn 9200
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen control
  bind 198.51.100.1:21
  server ftp 10.0.0.5:21
listen data
  bind 198.51.100.1:%d-%d
  server ftp 10.0.0.5
`, firstStatic, lastStatic)

const modProxyConfig = `LoadModule mod_tls.c
LoadModule mod_proxy.c
DefaultAddress 198.51.100.1
Port 21
ServerName "lab"
ServerType standalone
DefaultServer on
UseIPv6 off
User nobody
Group nogroup
UseReverseDNS off
MaxInstances none
ScoreboardFile /run/scoreboard
PidFile /run/pid
DelayEngine off
SystemLog none
WtmpLog off
TransferLog none
TimesGMT on
ProxyEngine on
ProxyTables /tmp/proxy
ProxyRole reverse
ProxyReverseServers ftp://10.0.0.5:21
`

const suseConfig = `[-Global-]
ServerType standalone
Listen 198.51.100.1
Port 21
DestinationAddress 10.0.0.5
DestinationPort 21
DestinationTransferMode client
MaxClients 10000
ForkLimit 1000000
TimeOut 3600
PidFile /run/ftp-proxy.pid
LogLevel ERR
`

func startHAProxy(ctx context.Context, st *Stand) error {
	return st.startPeer(ctx, haproxyConfig, false, "haproxy", "-db", "-f", "/conf/config")
}

func startModProxy(ctx context.Context, st *Stand) error {
	return st.startPeer(ctx, modProxyConfig, true, "proftpd", "--nodaemon", "--quiet", "--config", "/conf/config")
}

func startSuSE(ctx context.Context, st *Stand) error {
	return st.startPeer(ctx, suseConfig, true, "ftp-proxy", "-n", "-f", "/conf/config")
}

// startPeer runs a program of the Debian tree with its configuration.
func (st *Stand) startPeer(ctx context.Context, config string, forks bool, name string, args ...string) error {
	conf := filepath.Join(st.dir, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(conf, "config"), []byte(config), 0o644); err != nil {
		return err
	}
	cmd := st.setting.Peers.Command(ctx, st.Lab.Gateway, []debian.Bind{{Host: conf, Inside: "/conf"}}, name, args...)
	cmd.Forks = forks
	return st.launch(cmd)
}
