package alg

// refusals are the replies that the gateway gives by itself. They say what
// happened and, where the client can do something, what (RFC 959 §4.2).
var refusals = [reasons]string{
	NotACommand:     "500 Not an FTP command\r\n",
	BadSyntax:       "501 The gateway cannot read the argument\r\n",
	BadLineEnd:      "500 A command must not contain a bare CR, LF or NUL\r\n",
	LineTooLong:     "500 Command line too long\r\n",
	NotLoggedIn:     "530 Log in before you set up a data connection\r\n",
	Bounce:          "504 The data address must be the address that you connect from\r\n",
	BadPort:         "504 No data connection to this port\r\n",
	BadFamily:       "522 Network protocol not supported\r\n",
	ModeOff:         "502 This data mode is not offered here\r\n",
	AfterEPSVAll:    "503 After EPSV ALL only EPSV sets up data connections\r\n",
	NoTLS:           "534 TLS is refused by the gateway (tls.mode = \"refuse\")\r\n",
	Unsupported:     "502 Not supported by the gateway: use EPSV, PASV, EPRT or PORT\r\n",
	NoDataPort:      "425 No data connection was set up: send PASV, EPSV, PORT or EPRT first\r\n",
	TooManySetUps:   "425 Too many data connections are being set up\r\n",
	BadReply:        "425 The server's answer names no usable data port\r\n",
	NoPorts:         "425 The gateway has no free data port: try again later\r\n",
	NoPinhole:       "425 The gateway could not open the data path: try again later\r\n",
	BusyPort:        "425 This data port still has a connection: use another one\r\n",
	NotFTP:          "421 This port speaks FTP\r\n",
	BadGreeting:     "421 The server does not greet as an FTP server\r\n",
	GreetingRefused: "",
	TooManyErrors:   "421 Too many errors: closing the control connection\r\n",
	NeedsTLS:        "530 TLS is required here: send AUTH TLS first\r\n",
	Injection:       "",
	NotResumed:      "522 The data connection must resume the TLS session of the control connection\r\n",
	DataTLS:         "522 No TLS with the client on the data connection\r\n",
	DataBroken:      "426 The data connection broke: the transfer is not complete\r\n",
	NoPassPorts:     "534 TLS could not carry data through the gateway (tls.pass_ports is not set)\r\n",
	OutOfOrder:      "503 Bad sequence of security commands\r\n",
	BadProtection:   "504 There is no such protection\r\n",
}

// noProtection answers PBSZ, PROT and their like (RFC 2228 §3, RFC 4217 §9):
// they come after AUTH, and there is none.
const noProtection = "503 Without AUTH there is no protection to negotiate\r\n"
