package debian

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The account of the servers.
const (
	User     = "demo"
	Password = "demo"
	uid      = 64021 // nobody's on a real machine
)

// settings are the files that installing would have written, as far as the programs read them.
var settings = map[string]string{
	"etc/passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nftp:x:64020:64020:ftp:/srv:/bin/sh\n" +
		"demo:x:64021:64021:demo:/srv:/bin/sh\n",
	"etc/group":                "root:x:0:\nnogroup:x:65534:\nftp:x:64020:\ndemo:x:64021:\n",
	"etc/shadow":               "demo:$6$ftpgatelab$bBehFZP1IRV2.rfBcyGhX1mlArbLMOTzYy..iIkyAxRBY8gwsodVtoFfnviCxoea5dULiN7IMRkoF6lP50/lc1:19000::::::\n",
	"etc/hosts":                "127.0.0.1 localhost\n::1 localhost\n",
	"etc/shells":               "/bin/sh\n",
	"etc/nsswitch.conf":        "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
	"etc/pam.d/common-auth":    "auth required pam_unix.so\n",
	"etc/pam.d/common-account": "account required pam_unix.so\n",
	"etc/pam.d/common-session": "session required pam_permit.so\n",
	"etc/pam.d/common-session-noninteractive": "session required pam_permit.so\n",
}

// places are the folders that a run mounts something on: see Command.
var places = []string{"dev", "proc", "run", "tmp", "srv", "home", "conf", "tls"}

// unpack makes the tree from the downloaded packages.
func (f *fetcher) unpack(ctx context.Context) error {
	packages, err := filepath.Glob(filepath.Join(f.apt, "archives", "*.deb"))
	if err != nil {
		return err
	}
	f.say("unpacking %d packages", len(packages))
	fresh := filepath.Join(f.dir, "tree.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	for _, p := range packages {
		if err := f.run(ctx, "dpkg-deb", "-x", p, fresh); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(p), err)
		}
	}
	if err := furnish(fresh); err != nil {
		return err
	}
	return f.replace(fresh)
}

// furnish adds to the unpacked packages what makes a root folder of them.
func furnish(tree string) error {
	// Newer releases ship all under /usr and count on these links; in older ones the folders are there.
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		err := os.Symlink("usr/"+d, filepath.Join(tree, d))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// A server that has become another user must find its way, whatever the umask: hence the modes.
	for _, d := range places {
		d = filepath.Join(tree, d)
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			return err
		}
	}
	for name, text := range settings {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o644), os.Chmod(name, 0o644)); err != nil {
			return err
		}
	}
	return os.Chmod(tree, 0o755)
}

// replace puts the new tree in the old one's place. The version is written last: without it there is no tree.
func (f *fetcher) replace(fresh string) error {
	tree, version := filepath.Join(f.dir, "tree"), filepath.Join(f.dir, "version")
	if err := errors.Join(os.RemoveAll(version), os.RemoveAll(tree)); err != nil {
		return err
	}
	if err := os.Rename(fresh, tree); err != nil {
		return err
	}
	if err := os.WriteFile(version, []byte(f.version()), 0o644); err != nil {
		return err
	}
	f.say("ready in %s", tree)
	return nil
}
