package debian

import (
	"fmt"
	"strings"

	"ftpgate/internal/lab/pki"
)

// commands make a client's command line and input. They run in a folder that is not the job's: that one is /home.
var commands = map[string]func(j Job, op operation, name string) (line []string, input string){
	"curl":   curl,
	"lftp":   lftp,
	"tnftp":  tnftp,
	"ftplib": ftplib,
}

func curl(j Job, op operation, name string) ([]string, string) {
	line := []string{"curl", "--silent", "--show-error", "--verbose", "--user", j.user() + ":" + Password}
	switch j.Mode {
	case PASV:
		line = append(line, "--disable-epsv")
	case PORT:
		line = append(line, "--ftp-port", "-", "--disable-eprt")
	case EPRT:
		line = append(line, "--ftp-port", "-")
	}
	line = append(line, curlTLS(j)...)
	switch op {
	case upload:
		line = append(line, "--upload-file", "/home/"+name)
	case download:
		line = append(line, "--output", "/home/"+name)
	case list:
		line = append(line, "--output", "/home/"+listing)
	}
	return append(line, j.url()+"/"+name), ""
}

// url is the server as curl and lftp want it.
func (j Job) url() string {
	if j.TLS == Implicit {
		return "ftps://" + j.Server.String()
	}
	return "ftp://" + j.Server.String()
}

func curlTLS(j Job) []string {
	if j.TLS == NoTLS {
		return nil
	}
	line := []string{"--ssl-reqd", "--cacert", "/tls/" + pki.CAFile}
	if j.Version != "" {
		line = append(line, "--tlsv"+j.Version, "--tls-max", j.Version)
	}
	return line
}

func lftp(j Job, op operation, name string) ([]string, string) {
	script := []string{"debug 5", "set cmd:fail-exit yes", "set net:max-retries 1"}
	script = append(script, lftpTLS(j)...)
	script = append(script,
		fmt.Sprintf("set ftp:passive-mode %t", j.Mode == PASV || j.Mode == EPSV),
		fmt.Sprintf("set ftp:prefer-epsv %t", j.Mode == EPSV),
		fmt.Sprintf("open -u %s,%s %s", j.user(), Password, j.url()),
		map[operation]string{
			upload:   "put /home/" + name + " -o " + name,
			download: "get " + name + " -o /home/" + name,
			list:     "ls > /home/" + listing,
		}[op],
	)
	return []string{"lftp", "-c", strings.Join(script, "; ")}, ""
}

func lftpTLS(j Job) []string {
	if j.TLS == NoTLS {
		return []string{"set ftp:ssl-allow no"}
	}
	script := []string{"set ftp:ssl-force yes", "set ftp:ssl-protect-data yes", "set ftp:ssl-protect-list yes",
		"set ssl:verify-certificate yes", "set ssl:ca-file /tls/" + pki.CAFile}
	if j.Version != "" {
		script = append(script, "set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS"+j.Version)
	}
	return script
}

// tnftp reads its commands from its input.
func tnftp(j Job, op operation, name string) ([]string, string) {
	line := []string{"tnftp", "-d", "-i", "-n", "-v"}
	if j.Mode == PORT || j.Mode == EPRT {
		line = append(line, "-A")
	}
	script := []string{fmt.Sprintf("user %s %s", j.user(), Password), "binary"}
	if j.Mode == PASV || j.Mode == PORT {
		script = append(script, "epsv4 off")
	}
	script = append(script, map[operation]string{
		upload:   "put /home/" + name + " " + name,
		download: "get " + name + " /home/" + name,
		list:     "ls . /home/" + listing,
	}[op], "quit")
	line = append(line, j.Server.Addr().String(), fmt.Sprint(j.Server.Port()))
	return line, strings.Join(script, "\n") + "\n"
}

func ftplib(j Job, op operation, name string) ([]string, string) {
	verb := map[operation]string{upload: "upload", download: "download", list: "list"}[op]
	local := "/home/" + name
	if op == list {
		local = "/home/" + listing
	}
	tls := "clear"
	switch {
	case j.TLS != NoTLS && j.Anew:
		tls = "anew"
	case j.TLS != NoTLS:
		tls = "resume"
	}
	return []string{"python3", "-B", "-", j.Server.Addr().String(), fmt.Sprint(j.Server.Port()), string(j.Mode), verb, name, local,
		j.user(), Password, tls, "/tls/" + pki.CAFile, "TLSv1_" + strings.TrimPrefix(j.Version, "1.")}, ftplibScript
}

// ftplibScript is a client on Python's ftplib. With IPv4 the library uses PASV and PORT; it has the words for the
// extended modes, which a program that wants them says like this. Its TLS knows nothing of resuming: who needs that writes
// Resuming.
const ftplibScript = `
import ftplib, ssl, sys

host, port, mode, verb, name, local, user, password, tls, ca, version = sys.argv[1:]

class Modes:
    def makepasv(self):
        if mode == "EPSV":
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return super().makepasv()

    def sendport(self, host, port):
        if mode == "EPRT":
            return self.sendeprt(host, port)
        return super().sendport(host, port)

class Clear(Modes, ftplib.FTP):
    pass

class Anew(Modes, ftplib.FTP_TLS):
    pass

class Resuming(Anew):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session), size

if tls == "clear":
    ftp = Clear(timeout=20)
else:
    context = ssl.create_default_context(cafile=ca)
    if version != "TLSv1_":
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    ftp = {"anew": Anew, "resume": Resuming}[tls](timeout=20, context=context)
ftp.set_debuglevel(1)
ftp.connect(host, int(port))
ftp.login(user, password)
if tls != "clear":
    ftp.prot_p()
    print(ftp.sock.version())
ftp.set_pasv(mode in ("PASV", "EPSV"))
if verb == "upload":
    with open(local, "rb") as f:
        ftp.storbinary("STOR " + name, f)
elif verb == "download":
    with open(local, "wb") as f:
        ftp.retrbinary("RETR " + name, f.write)
else:
    with open(local, "w") as f:
        ftp.retrlines("LIST", lambda line: print(line, file=f))
ftp.quit()
`
