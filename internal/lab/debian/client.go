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
	Login  string         // the user's name as the client says it; "": User

	TLS     TLS
	PKI     string // folder with the CAFile to trust; with TLS
	Anew    bool   // ftplib as it comes: no data connection resumes the control connection's session. Others cannot
	Version string // "1.2" or "1.3": this version of TLS and no other; "": what both ends like best
}

func (j Job) user() string {
	if j.Login == "" {
		return User
	}
	return j.Login
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
	case j.TLS != NoTLS && j.Client == "tnftp":
		return errors.New("tnftp has no TLS for FTP")
	case j.TLS == Implicit && j.Client == "ftplib":
		return errors.New("ftplib has no implicit TLS")
	case j.TLS != NoTLS && j.Client == "curl" && (j.Mode == PORT || j.Mode == EPRT):
		return errors.New("curl 7.87 and 7.88 send active data in clear, whatever PROT said (mended in 8.0: curl pull request 10669)")
	case j.Anew && j.Client != "ftplib":
		return fmt.Errorf("%s always resumes", j.Client)
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
	binds := []Bind{{j.Dir, "/home"}}
	if j.TLS != NoTLS {
		binds = append(binds, Bind{j.PKI, "/tls"})
	}
	cmd := t.Command(ctx, h, binds, line[0], line[1:]...)
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
	return transcript, j.protected(transcript)
}

// sent finds the commands of mode in a transcript: curl writes "> EPSV", lftp and tnftp "---> EPSV", ftplib "*cmd* 'EPSV'".
var sent = regexp.MustCompile(`(?m)^(?:> |---> |\*cmd\* ')(PASV|EPSV|PORT|EPRT)\b`)

// protected checks that a client which was told to use TLS did, for its files as well, in the version asked for. lftp does
// not tell its version, but knows no other than that of its command line.
func (j Job) protected(transcript string) error {
	if j.TLS == NoTLS {
		return nil
	}
	if !protP.MatchString(transcript) {
		return fmt.Errorf("%s did not protect its data", j.Client)
	}
	if auth.MatchString(transcript) != (j.TLS == Explicit) {
		return fmt.Errorf("%s and AUTH: that is not %v TLS", j.Client, j.TLS)
	}
	for _, m := range version.FindAllStringSubmatch(transcript, -1) {
		if j.Version != "" && m[1] != j.Version {
			return fmt.Errorf("%s used TLS %s, want %s", j.Client, m[1], j.Version)
		}
	}
	return nil
}

// What a transcript says of TLS, beside sent: curl writes "SSL connection using TLSv1.3 / …", our ftplib "TLSv1.3".
var (
	auth    = regexp.MustCompile(`(?m)^(?:> |---> |\*cmd\* ')AUTH (?:TLS|SSL)\b`)
	protP   = regexp.MustCompile(`(?m)^(?:> |---> |\*cmd\* ')PROT P\b`)
	version = regexp.MustCompile(`(?m)^(?:\* SSL connection using )?TLSv(1\.[0-9])`)
)

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
