package debian

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ftpgate/internal/lab"
)

// Mode is the command by which client and server agree on a data connection.
type Mode string

const (
	PASV Mode = "PASV"
	EPSV Mode = "EPSV"
	PORT Mode = "PORT"
	EPRT Mode = "EPRT"
)

// Modes are all of them.
var Modes = []Mode{PASV, EPSV, PORT, EPRT}

// Clients are the names of the clients.
var Clients = []string{"curl", "lftp", "tnftp", "ftplib"}

// Job is what a client is to do, short of the file.
type Job struct {
	Client string
	Mode   Mode
	Server netip.AddrPort // whoever answers there
	Dir    string         // folder of the client's files on the disk
}

// timeout is how long one operation may take.
const timeout = 30 * time.Second

// listing is the file in the client's folder that a listing goes to.
const listing = "listing"

// Can says why a client cannot use a mode with an address, or nil.
func (j Job) Can() error {
	switch {
	case !slices.Contains(Clients, j.Client) || !slices.Contains(Modes, j.Mode):
		return fmt.Errorf("no client %s or no mode %s", j.Client, j.Mode)
	case j.Server.Addr().Is6() && (j.Mode == PASV || j.Mode == PORT):
		return fmt.Errorf("%s cannot say an IPv6 address", j.Mode)
	case j.Client == "lftp" && j.Mode == EPRT && j.Server.Addr().Is4():
		return errors.New("lftp uses EPRT with IPv6 only")
	}
	return nil
}

// Upload sends a file of the job's folder to the server, under its name. The transcript is for a failure message.
func (t *Tree) Upload(ctx context.Context, h *lab.Host, j Job, name string) (transcript string, err error) {
	return t.run(ctx, h, j, upload, name)
}

// Download gets a file into the job's folder.
func (t *Tree) Download(ctx context.Context, h *lab.Host, j Job, name string) (transcript string, err error) {
	return t.run(ctx, h, j, download, name)
}

// List returns the listing of the server's folder.
func (t *Tree) List(ctx context.Context, h *lab.Host, j Job) (text, transcript string, err error) {
	if transcript, err = t.run(ctx, h, j, list, ""); err != nil {
		return "", transcript, err
	}
	data, err := os.ReadFile(filepath.Join(j.Dir, listing))
	return string(data), transcript, err
}

// operation is what a client does with a file.
type operation int

const (
	upload operation = iota
	download
	list
)

// run runs the client and checks that it used the job's mode and no other: most fall back in silence.
func (t *Tree) run(ctx context.Context, h *lab.Host, j Job, op operation, name string) (string, error) {
	if err := j.Can(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	line, input := commands[j.Client](j, op, name)
	cmd := t.Command(ctx, h, []Bind{{j.Dir, "/home"}}, line[0], line[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	transcript := string(out)
	if ctx.Err() != nil {
		return transcript, fmt.Errorf("%s has not ended within %v", j.Client, timeout)
	}
	if err != nil {
		return transcript, fmt.Errorf("%s: %w", j.Client, err)
	}
	if j.Client == "tnftp" && !complete.MatchString(transcript) {
		return transcript, errors.New("tnftp got no 226")
	}
	if used := usedModes(transcript); !slices.Equal(used, []Mode{j.Mode}) {
		return transcript, fmt.Errorf("%s used %v, want %s alone", j.Client, used, j.Mode)
	}
	return transcript, nil
}

// sent finds the commands of mode in a transcript: curl writes "> EPSV", lftp and tnftp "---> EPSV", ftplib "*cmd* 'EPSV'".
var sent = regexp.MustCompile(`(?m)^(?:> |---> |\*cmd\* ')(PASV|EPSV|PORT|EPRT)\b`)

// complete finds the end of a transfer in tnftp's transcript: its exit status says nothing.
var complete = regexp.MustCompile(`(?m)^226 `)

// usedModes returns the modes that a client tried, each once.
func usedModes(transcript string) []Mode {
	var modes []Mode
	for _, m := range sent.FindAllStringSubmatch(transcript, -1) {
		if mode := Mode(m[1]); !slices.Contains(modes, mode) {
			modes = append(modes, mode)
		}
	}
	return modes
}

// commands make a client's command line and input. They run in a folder that is not the job's: that one is /home.
var commands = map[string]func(j Job, op operation, name string) (line []string, input string){
	"curl":   curl,
	"lftp":   lftp,
	"tnftp":  tnftp,
	"ftplib": ftplib,
}

func curl(j Job, op operation, name string) ([]string, string) {
	line := []string{"curl", "--silent", "--show-error", "--verbose", "--user", User + ":" + Password}
	switch j.Mode {
	case PASV:
		line = append(line, "--disable-epsv")
	case PORT:
		line = append(line, "--ftp-port", "-", "--disable-eprt")
	case EPRT:
		line = append(line, "--ftp-port", "-")
	}
	switch op {
	case upload:
		line = append(line, "--upload-file", "/home/"+name)
	case download:
		line = append(line, "--output", "/home/"+name)
	case list:
		line = append(line, "--output", "/home/"+listing)
	}
	return append(line, "ftp://"+j.Server.String()+"/"+name), ""
}

func lftp(j Job, op operation, name string) ([]string, string) {
	script := []string{
		"debug 5", "set cmd:fail-exit yes", "set net:max-retries 1", "set ftp:ssl-allow no",
		fmt.Sprintf("set ftp:passive-mode %t", j.Mode == PASV || j.Mode == EPSV),
		fmt.Sprintf("set ftp:prefer-epsv %t", j.Mode == EPSV),
		fmt.Sprintf("open -u %s,%s ftp://%s", User, Password, j.Server),
		map[operation]string{
			upload:   "put /home/" + name + " -o " + name,
			download: "get " + name + " -o /home/" + name,
			list:     "ls > /home/" + listing,
		}[op],
	}
	return []string{"lftp", "-c", strings.Join(script, "; ")}, ""
}

// tnftp reads its commands from its input.
func tnftp(j Job, op operation, name string) ([]string, string) {
	line := []string{"tnftp", "-d", "-i", "-n", "-v"}
	if j.Mode == PORT || j.Mode == EPRT {
		line = append(line, "-A")
	}
	script := []string{fmt.Sprintf("user %s %s", User, Password), "binary"}
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
	return []string{"python3", "-B", "-", j.Server.Addr().String(), fmt.Sprint(j.Server.Port()), string(j.Mode), verb, name, local,
		User, Password}, ftplibScript
}

// ftplibScript is a client on Python's ftplib. With IPv4 the library uses PASV and PORT; it has the words for the
// extended modes, which a program that wants them says like this.
const ftplibScript = `
import ftplib, sys

host, port, mode, verb, name, local, user, password = sys.argv[1:]

class FTP(ftplib.FTP):
    def makepasv(self):
        if mode == "EPSV":
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return super().makepasv()

    def sendport(self, host, port):
        if mode == "EPRT":
            return self.sendeprt(host, port)
        return super().sendport(host, port)

ftp = FTP(timeout=20)
ftp.set_debuglevel(1)
ftp.connect(host, int(port))
ftp.login(user, password)
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
