package cause

import "fmt"

// refused is the sentence for what the gateway itself refused.
func (e Evidence) refused(c Cause) string {
	switch c {
	case Bounce:
		if e.Refusal == "port" {
			return "The client named a data port below 1024, or of a service: the gateway opens those to nobody (RFC 2577 §3)."
		}
		return fmt.Sprintf("The client named a data address that is not its own, %v (RFC 2577 §3).", e.Client)
	case BackendBadAddress:
		return fmt.Sprintf("The server %v answered with no data address that can be used.", e.Server)
	case PortsExhausted:
		if e.Refusal == "too_many_setups" {
			return "The client set up more data connections at once than a session may have."
		}
		return "No port of the service's range was free for the data connection."
	case NFT:
		return "The kernel did not take the pinhole; the log says what it answered."
	case BusyPort:
		return "The client named a data port that still has a connection."
	case TLSNotResumed:
		return "The client's data connection did not resume the TLS session of its control connection (tls.require_resumption)."
	case DataTLS:
		return "The TLS handshake on the client's data connection failed."
	case NoDataPort:
		return "The client sent a data command without PASV, EPSV, PORT or EPRT before it."
	}
	return ""
}

// advice is what to do, for each cause.
var advice = map[Cause]string{
	NoSyn: "Passive: the client, or something in front of it, did not get or did not follow the gateway's address. Compare the address in the 227 below with what " +
		"clients can reach (advertise), and look for a firewall of the client's that keeps it from dialling high ports, or another FTP-aware device that changed the 227. " +
		"Active: look whether the server can reach the gateway's inside address. ftpgate doctor looks at this host.",
	WrongPeer: "If that address is the same client behind several addresses (a carrier's NAT, IPv6 privacy addresses), allow its prefix: data_peer = \"/24\" or \"/64\". If it is not, somebody tried to steal the connection and was refused. " +
		"Active: a server with several addresses must dial from the one that it is reached at.",
	Late:              "If it dials seconds after the reply, raise timeouts.pinhole. If it dials after the server gave up, the server's own timeout for data connections is too short.",
	BackendRefused:    "Look at the server: its passive ports must be open in its own firewall to the gateway's inside address, and it must listen on the address that it is reached at.",
	BackendBadAddress: "Look at the server's reply below. Its passive ports must be 1024 or above and none of the gateway's own. With strict = true its address must be its own (pasv_address, MasqueradeAddress).",
	ClientRefused:     "The client's own firewall, or the NAT that it is behind, does not let the server's connection in. It should use passive mode.",
	Bounce: "A client behind a NAT of its own names its inside address: let it use passive mode, or set active_address = \"peer\". A port below 1024 is refused always. " +
		"Anything else is an attempt to use the server against a third party.",
	TLSNotResumed:  "Let the client resume TLS sessions (FileZilla, lftp and curl with TLS 1.3 do), or set tls.require_resumption = false here, or turn the server's check off (vsftpd require_ssl_reuse, ProFTPD NoSessionReuseRequired).",
	DataTLS:        "The log has the handshake's error. Usually the client does not trust the certificate, or sends data in clear after PROT P.",
	PortsExhausted: "Widen ports (passive) or active_ports (active), or look in ftpgate pinholes who holds them. A client that sets up without transferring holds a port for timeouts.pinhole.",
	BusyPort:       "The client used a port again whose last connection has not ended. It should use another one for each transfer, or passive mode.",
	NFT:            "Look at the log and at nft list table inet ftpgate; ftpgate doctor says what is wrong with the table.",
	ForeignHelper:  "Take the kernel's FTP helper away from this port: ftpgate doctor names the rule or the setting and the command.",
	NoDataPort:     "The client's last set-up failed, or it expects the default data port of RFC 959 §3.2, which the gateway does not serve. Let it use passive mode.",
	Aborted:        "Nothing, if the user meant it. If clients give up often, look at the lines below for what they waited for.",
	DataBroken:     "Look at the network between the gateway and whoever reset the connection, and at idle timeouts of firewalls on the way.",
	ServerError:    "The reply says what the server did not like: a path, a permission, its disk. The gateway passed it on.",
	Stalled:        "One side stopped to send or to read. If transfers may rest that long (tape, slow disks), raise timeouts.stalled.",
}

// seen is the evidence in words, what decided first.
func (e Evidence) seen() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	dialler, other := e.peers()
	if e.At.IsValid() {
		if e.Dialled.IsZero() {
			add("a pinhole for the %s was open at %v, leading to %v, and no connection came through it", dialler, e.At, e.To)
		} else {
			add("the %s dialled %v, %v after the pinhole was opened; it led to %v", dialler, e.At, round(max(0, e.Dialled.Sub(e.Opened))), e.To)
		}
	}
	switch e.Answer {
	case Refused:
		add("the %s answered the SYN with a RST", other)
	case Silent:
		add("the %s did not answer the SYN", other)
	case Accepted:
		add("the connection was established and carried %d bytes", e.Bytes)
	}
	own, others := e.strays()
	for _, s := range own {
		add("a SYN of the %s to %v was refused %v after the pinhole was opened", dialler, e.At, e.after(s))
	}
	for _, s := range others[:min(len(others), 5)] {
		add("a SYN of %v to %v was refused %v after the pinhole was opened", s.From, e.At, e.after(s))
	}
	if e.Helper != "" {
		add("conntrack has the helper %q at the control connection", e.Helper)
	}
	if e.Refusal != "" {
		add("the gateway refused: %s", e.Refusal)
	}
	if e.Broken != "" {
		add("the relay met: %s", e.Broken)
	}
	if e.Aborted {
		add("the client sent ABOR")
	}
	switch {
	case e.Code > 0:
		add("the final reply was %d", e.Code)
	case e.Ended != "":
		add("the session ended first: %s", e.Ended)
	case e.Refusal == "":
		add("no final reply has come yet")
	}
	return all
}
