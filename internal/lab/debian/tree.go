// Package debian runs real FTP servers and clients from Debian's packages without installing them. Fetch downloads the
// packages with their dependencies and unpacks them into a folder; a program runs with that folder as its root, in a
// mount namespace of its own, in a host of the lab.
//
//	tree, err := debian.Fetch(ctx, ".cache/debian", os.Stderr)
//	server, err := tree.StartServer(ctx, l.Server, debian.VSFTPD, dir, 21, debian.ServerOptions{})
//	job := debian.Job{Client: "lftp", Mode: debian.EPSV, Server: addr, Dir: work}
//	transcript, err := tree.Upload(ctx, l.Client, job, "file")
//
// No server ever starts by itself, nothing of the host is read or changed, and the host's own libraries do not matter.
//
// Be aware: running takes root, for chroot and mounts. Fetching does not.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ftpgate/internal/lab"

	"golang.org/x/sys/unix"
)

// Tree is a folder with unpacked packages.
type Tree struct {
	root    string
	version string
}

// Open returns the tree that Fetch left in a cache folder.
func Open(dir string) (*Tree, error) {
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, fmt.Errorf("no test servers and clients in %s (get them with: go run ./internal/lab/fetch): %w", dir, err)
	}
	root, err := filepath.Abs(filepath.Join(dir, "tree"))
	return &Tree{root, string(version)}, err
}

// CacheDir returns the cache folder of the repository that holds the working directory.
func CacheDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return filepath.Join(dir, ".cache", "debian"), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not in the repository: no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
}

// Bind shows a folder of the host in the tree. Inside is one of /srv, /home, /conf and /tls.
type Bind struct{ Host, Inside string }

// enter makes the tree a root folder that a program can live in, and goes there. Mounts end with the namespace. There is
// no /dev/log: what a server has to say must not reach the host's log.
const enter = `set -e
mount --make-rprivate /
cd "$1"; shift
mount -t proc proc proc
for d in dev run; do mount -t tmpfs -o mode=755 tmpfs $d; done
mount -t tmpfs tmpfs tmp
for d in null zero random urandom; do : >dev/$d; mount --bind /dev/$d dev/$d; done
while [ "$1" != -- ]; do mount --rbind "$1" ".$2"; shift 2; done
shift
exec chroot . "$@"`

// Command prepares a program of the tree to run in a host. It sees the tree, an empty /run and /tmp, and the binds.
func (t *Tree) Command(ctx context.Context, h *lab.Host, binds []Bind, name string, args ...string) *lab.Cmd {
	line := []string{"-c", enter, "sh", t.root}
	for _, b := range binds {
		line = append(line, b.Host, b.Inside)
	}
	line = append(append(line, "--", name), args...)
	c := h.Command(ctx, "/bin/sh", line...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TERM=dumb", "LC_ALL=C.UTF-8"}
	c.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	return c
}

// Version says what was unpacked.
func (t *Tree) Version() string {
	return strings.TrimSpace(t.version)
}
