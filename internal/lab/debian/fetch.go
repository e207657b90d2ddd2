package debian

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Set is what one folder is to hold: packages, in groups that may be resolved together. FTP servers exclude each other.
type Set [][]string

// The sets. Peers, the gateways that benchmarks compare with, are apart so that tests need not wait for them.
var (
	Tests = Set{
		{"vsftpd"},
		{"proftpd-core", "proftpd-mod-crypto"}, // mod_tls
		{"pure-ftpd"},
		{"webalizer"}, // a reader of xferlogs
		{"curl", "lftp", "tnftp", "nftables", "iptables", "openssl", "python3-minimal", "libpython3-stdlib"},
	}
	Peers = Set{
		{"haproxy"},
		{"proftpd-core", "proftpd-mod-proxy", "proftpd-mod-crypto"}, // the proxy module uses the TLS library of the other
		{"ftp-proxy"},
	}
	// Browser looks at web pages: apart, as no other test needs it and not every release has it.
	Browser = Set{{"chromium-headless-shell", "fonts-liberation"}}
)

// unwanted are dependencies that only installing needs, and we unpack, or only Prometheus's own pages, 200 MB of them. The
// resolver is told that they are there.
var unwanted = []string{
	"adduser", "debconf", "dpkg", "init-system-helpers", "libpam-runtime", "lsb-base", "openbsd-inetd", "passwd", "perl",
	"perl-base", "procps", "sensible-utils", "sysvinit-utils", "ucf", "update-inetd", "x11-utils", "xdg-utils",
	"fonts-glyphicons-halflings", "libjs-bootstrap4", "libjs-eonasdan-bootstrap-datetimepicker", "libjs-jquery",
	"libjs-jquery-hotkeys", "libjs-moment", "libjs-moment-timezone", "libjs-mustache", "libjs-popper.js", "libjs-rickshaw",
}

// fetcher is one run of Fetch.
type fetcher struct {
	dir      string // the cache folder
	wanted   Set
	apt      string // apt's state, thrown away in the end
	release  release
	progress io.Writer
}

// release is what the host runs. Packages come from its own distribution, by its own mirrors.
type release struct {
	ID       string // "debian"
	Codename string // "bookworm"
}

// Fetch unpacks the packages of Tests into dir: see FetchSet.
func Fetch(ctx context.Context, dir string, progress io.Writer) (*Tree, error) {
	return FetchSet(ctx, Tests, dir, progress)
}

// FetchSet unpacks packages into dir, unless they are there already, and says on progress what it does. Nothing is
// installed and nothing of the host changes: apt works in dir, and only downloads. It takes no root.
func FetchSet(ctx context.Context, wanted Set, dir string, progress io.Writer) (*Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	host, err := hostRelease("/etc/os-release")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()

	f := &fetcher{dir, wanted, filepath.Join(dir, "apt"), host, progress}
	if t, err := Open(dir); err == nil && t.version == f.version() {
		return t, nil
	}
	if err := f.fetch(ctx); err != nil {
		return nil, fmt.Errorf("fetch packages for the lab: %w", err)
	}
	return Open(dir)
}

// lock keeps two runs out of one folder.
func lock(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { file.Close() }, nil
}

func (f *fetcher) fetch(ctx context.Context) error {
	defer os.RemoveAll(f.apt)
	if err := f.configure(ctx); err != nil {
		return err
	}
	f.say("reading the package lists of %s %s", f.release.ID, f.release.Codename)
	if err := f.run(ctx, "apt-get", "update", "-qq"); err != nil {
		return f.unreachable(err)
	}
	for _, group := range f.wanted {
		f.say("downloading %s", strings.Join(group, ", "))
		args := append([]string{"install", "-qq", "-y", "--download-only"}, group...)
		if err := f.run(ctx, "apt-get", args...); err != nil {
			return f.unreachable(err)
		}
	}
	return f.unpack(ctx)
}

// version tells one content of the cache from another.
func (f *fetcher) version() string {
	sum := sha256.Sum256(fmt.Append(nil, f.release, f.wanted, unwanted, places, settings))
	return fmt.Sprintf("%s %s %x", f.release.ID, f.release.Codename, sum[:8])
}

// configure writes apt's own little world: the host's mirrors, keys and proxies, but no hooks and no dpkg.
func (f *fetcher) configure(ctx context.Context) error {
	if err := os.RemoveAll(f.apt); err != nil {
		return err
	}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(f.apt, d), 0o755); err != nil {
			return err
		}
	}
	acquire, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output()
	if err != nil {
		return fmt.Errorf("read apt's configuration: %w (the test servers are Debian or Ubuntu packages, got with apt)", err)
	}
	sources, err := f.sources(ctx)
	if err != nil {
		return err
	}
	arch, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return fmt.Errorf("ask dpkg for the architecture: %w", err)
	}
	var status bytes.Buffer
	for _, p := range unwanted {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nVersion: 99999\nArchitecture: %s\n"+
			"Multi-Arch: foreign\nMaintainer: nobody\nDescription: not needed to unpack\n\n", p, strings.TrimSpace(string(arch)))
	}
	config := fmt.Sprintf(aptConfig, f.apt) + string(acquire)
	for name, text := range map[string]string{"sources.list": sources, "status": status.String(), "apt.conf": config} {
		if err := os.WriteFile(filepath.Join(f.apt, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// aptConfig leaves out all of the host's but its preferences and keys. Error-Mode: a list that cannot be had is an
// error, not a warning.
const aptConfig = `Dir::State "%[1]s";
Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s";
Dir::Cache::archives "%[1]s/archives";
Dir::Log "%[1]s";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Retries "2";
`

// sources are those of the host's sources that are its distribution's own.
func (f *fetcher) sources(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
		"Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for the host's package sources: %w", err)
	}
	option := ""
	key := "/usr/share/keyrings/" + f.release.ID + "-archive-keyring.gpg"
	if _, err := os.Stat(key); err == nil {
		option = "[signed-by=" + key + "] "
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[1] != f.release.Codename && !strings.HasPrefix(fields[1], f.release.Codename+"-") {
			continue // somebody else's packages
		}
		lines = append(lines, "deb "+option+strings.Join(fields, " ")+"\n")
	}
	if len(lines) == 0 {
		return "", fmt.Errorf("apt on this host has no source for %s", f.release.Codename)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), ""), nil
}

// run runs a program in apt's little world. The error holds what the program complained of.
func (f *fetcher) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(f.apt, "apt.conf"), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// unreachable adds what to do to an error of apt's.
func (f *fetcher) unreachable(err error) error {
	return fmt.Errorf("%w\nIs the package host reachable? Behind a proxy, say so in /etc/apt/apt.conf.d: Acquire::http::Proxy \"http://…\";", err)
}

func (f *fetcher) say(format string, args ...any) {
	fmt.Fprintf(f.progress, "fetch: "+format+"\n", args...)
}

// hostRelease reads what the host runs.
func hostRelease(name string) (release, error) {
	file, err := os.Open(name)
	if err != nil {
		return release{}, fmt.Errorf("find out what this host runs: %w", err)
	}
	defer file.Close()
	var r release
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(value, `"`)
		switch key {
		case "ID":
			r.ID = value
		case "VERSION_CODENAME":
			r.Codename = value
		}
	}
	if r.ID == "" || r.Codename == "" {
		return release{}, errors.New("this host does not say which Debian or Ubuntu it is (ID and VERSION_CODENAME in " + name + ")")
	}
	return r, nil
}
