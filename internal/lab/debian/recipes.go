package debian

import (
	"fmt"
	"net/netip"
	"strings"

	"ftpgate/internal/lab/pki"
)

// ServerOptions are how a server differs from a plain one. The zero value is the plain one.
type ServerOptions struct {
	TLS        TLS
	RequireTLS bool   // no login and no data without it; else clients may
	PKI        string // folder with the files of pki.Certificate.Write; needed with TLS

	Address netip.Addr // what 227 says; zero: the address of the control connection. vsftpd then has IPv4 alone
	Ports   [2]uint16  // first and last passive port; zero: any
}

// TLS is when TLS begins on the control connection.
type TLS int

// The zero TLS: never.
const (
	NoTLS    TLS = iota
	Explicit     // at AUTH
	Implicit     // with the first byte
)

func (t TLS) String() string { return [...]string{"clear", "explicit", "implicit"}[t] }

// loopback are the addresses at which a server is found ready.
func (o ServerOptions) loopback(server string) []string {
	if server == VSFTPD && o.Address.IsValid() {
		return []string{"127.0.0.1"}
	}
	return []string{"127.0.0.1", "::1"}
}

// Can says why a server cannot be run like this, or nil.
func (o ServerOptions) Can(server string) error {
	switch {
	case o.TLS != NoTLS && o.PKI == "":
		return fmt.Errorf("%s has no certificate", server)
	case o.TLS == Implicit && server == PureFTPd:
		return fmt.Errorf("%s is not built with implicit TLS", server)
	}
	return nil
}

// recipe is how a server is run: its configuration file, if it has one, and its command line.
type recipe struct {
	config  func(port uint16, o ServerOptions) string
	command func(port uint16, o ServerOptions) []string
}

// recipes leave all checks at their defaults: each of the three compares the address of a data connection with that of
// the control connection. With TLS vsftpd and ProFTPD want the control connection's session resumed on it, pure-ftpd does
// not. Both families are served by one instance.
var recipes = map[string]recipe{
	VSFTPD: {
		config:  vsftpdConfig,
		command: func(uint16, ServerOptions) []string { return []string{"vsftpd", "/conf/config"} },
	},
	ProFTPD: {
		config: proftpdConfig,
		command: func(uint16, ServerOptions) []string {
			return []string{"proftpd", "--nodaemon", "--config", "/conf/config"}
		},
	},
	PureFTPd: {command: pureftpdCommand},
}

// settingsFile builds a configuration line by line.
type settingsFile struct{ strings.Builder }

func (s *settingsFile) add(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func vsftpdConfig(port uint16, o ServerOptions) string {
	var c settingsFile
	families := "listen=NO\nlisten_ipv6=YES"
	if o.Address.IsValid() {
		families = "listen=YES\nlisten_ipv6=NO" // with IPv6 in it, a listener makes 0,0,0,0 of pasv_address
	}
	c.add(`%s
listen_port=%d
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
connect_from_port_20=YES
ftp_data_port=%d
pam_service_name=vsftpd
secure_chroot_dir=/run`, families, port, port-1) // 20 is pure-ftpd's, which lets nobody else have it on the same host
	if o.Address.IsValid() {
		c.add("pasv_address=%v", o.Address)
	}
	if o.Ports[0] != 0 {
		c.add("pasv_min_port=%d\npasv_max_port=%d", o.Ports[0], o.Ports[1])
	}
	if o.TLS != NoTLS {
		required := yesNo(o.RequireTLS)
		c.add("ssl_enable=YES\nrequire_ssl_reuse=YES\nimplicit_ssl=%s", yesNo(o.TLS == Implicit))
		c.add("force_local_logins_ssl=%s\nforce_local_data_ssl=%[1]s", required)
		c.add("rsa_cert_file=/tls/%s\nrsa_private_key_file=/tls/%s", pki.CertFile, pki.KeyFile)
		c.add("ssl_ciphers=HIGH\ndebug_ssl=YES\nvsftpd_log_file=/conf/more.log")
	}
	return c.String()
}

func yesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func proftpdConfig(port uint16, o ServerOptions) string {
	var c settingsFile
	if o.TLS != NoTLS {
		c.add("ModulePath /usr/lib/proftpd\nLoadModule mod_tls.c")
	}
	c.add(`Port %d
ServerName "lab"
ServerType standalone
DefaultServer on
UseIPv6 on
DefaultAddress 0.0.0.0
User nobody
Group nogroup
Umask 022
AllowOverwrite on
UseReverseDNS off
AuthOrder mod_auth_pam.c* mod_auth_unix.c
ScoreboardFile /run/scoreboard
PidFile /run/pid
DelayEngine off
SystemLog none
WtmpLog off
TransferLog none`, port)
	if o.Address.IsValid() {
		c.add("MasqueradeAddress %v", o.Address)
	}
	if o.Ports[0] != 0 {
		c.add("PassivePorts %d %d", o.Ports[0], o.Ports[1])
	}
	if o.TLS != NoTLS {
		c.add("TLSEngine on\nTLSLog /conf/more.log\nTLSRequired %s", onOff(o.RequireTLS))
		c.add("TLSECCertificateFile /tls/%s\nTLSECCertificateKeyFile /tls/%s", pki.CertFile, pki.KeyFile)
	}
	if o.TLS == Implicit {
		c.add("TLSOptions UseImplicitSSL")
	}
	return c.String()
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// pureftpdCommand is all of the server's configuration.
func pureftpdCommand(port uint16, o ServerOptions) []string {
	line := []string{"pure-ftpd", "--bind", fmt.Sprintf(",%d", port), "--login", "pam", "--noanonymous",
		"--dontresolve", "--umask", "133:022", "--pidfile", "/run/pid"}
	if o.Address.IsValid() {
		line = append(line, "--forcepassiveip", o.Address.String())
	}
	if o.Ports[0] != 0 {
		line = append(line, "--passiveportrange", fmt.Sprintf("%d:%d", o.Ports[0], o.Ports[1]))
	}
	if o.TLS != NoTLS {
		level := "1"
		if o.RequireTLS {
			level = "3" // for data too
		}
		line = append(line, "--tls="+level, "--certfile=/tls/"+pki.BothFile)
	}
	return line
}
