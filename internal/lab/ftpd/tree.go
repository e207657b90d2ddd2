package ftpd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
	"time"
)

// Tree is a file system in memory. Paths are absolute, with slashes. It may be used while servers serve it.
type Tree struct {
	mu    sync.RWMutex
	nodes map[string]*node // by path; a node is replaced, never changed
}

type node struct {
	dir  bool
	sink bool   // an upload is thrown away
	data []byte // nil if the content is generated
	size int64
	time time.Time
}

// NewTree returns a tree that holds the root folder alone.
func NewTree() *Tree {
	return &Tree{nodes: map[string]*node{"/": {dir: true, time: time.Now()}}}
}

// Put stores a file, replacing what was there. The tree keeps data.
func (t *Tree) Put(name string, data []byte) error {
	return t.put(name, &node{data: data, size: int64(len(data))})
}

// PutZeros stores a file of zeros that takes no memory.
func (t *Tree) PutZeros(name string, size int64) error {
	return t.put(name, &node{size: size})
}

// PutSink stores an empty file that stays so: uploads to it are read to their end and thrown away.
func (t *Tree) PutSink(name string) error {
	return t.put(name, &node{sink: true})
}

// Mkdir makes a folder in a folder that exists.
func (t *Tree) Mkdir(name string) error {
	t.mu.RLock()
	_, err := t.lookup(name)
	t.mu.RUnlock()
	if err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return t.put(name, &node{dir: true})
}

// Get returns a file's content. It is the tree's: do not change it.
func (t *Tree) Get(name string) ([]byte, error) {
	n, err := t.stat(name)
	switch {
	case err != nil:
		return nil, err
	case n.dir:
		return nil, fmt.Errorf("%s: is a folder", name)
	case n.data == nil:
		return make([]byte, n.size), nil
	}
	return n.data, nil
}

// Remove removes a file, or a folder that is empty.
func (t *Tree) Remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.lookup(name)
	if err != nil {
		return err
	}
	if n.dir && (name == "/" || len(t.children(name)) > 0) {
		return fmt.Errorf("%s: is not empty", name)
	}
	delete(t.nodes, name)
	return nil
}

func (t *Tree) put(name string, n *node) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if parent, err := t.lookup(path.Dir(name)); err != nil || !parent.dir {
		return fmt.Errorf("%s: no such folder", path.Dir(name))
	}
	if old, err := t.lookup(name); err == nil && old.dir {
		return fmt.Errorf("%s: is a folder", name)
	}
	n.time = time.Now()
	t.nodes[name] = n
	return nil
}

func (t *Tree) stat(name string) (*node, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.lookup(name)
}

// lookup is for callers that hold the lock.
func (t *Tree) lookup(name string) (*node, error) {
	if n, ok := t.nodes[name]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// children returns the paths in a folder, sorted. For callers that hold the lock.
func (t *Tree) children(folder string) []string {
	var names []string
	for name := range maps.Keys(t.nodes) {
		if name != "/" && path.Dir(name) == folder {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// entry is a line of a listing.
type entry struct {
	name string
	*node
}

// list returns what is in a folder, or the file itself.
func (t *Tree) list(name string) ([]entry, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, err := t.lookup(name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return []entry{{path.Base(name), n}}, nil
	}
	var entries []entry
	for _, child := range t.children(name) {
		entries = append(entries, entry{path.Base(child), t.nodes[child]})
	}
	return entries, nil
}

// unix is the entry as LIST shows it, in the form that every client reads.
func (e entry) unix() string {
	mode := "-rw-r--r--"
	if e.dir {
		mode = "drwxr-xr-x"
	}
	return fmt.Sprintf("%s 1 ftp ftp %12d %s %s", mode, e.size, e.time.UTC().Format("Jan 02 15:04"), e.name)
}

// facts is the entry as MLSD shows it (RFC 3659 section 7).
func (e entry) facts() string {
	kind := "file"
	if e.dir {
		kind = "dir"
	}
	return fmt.Sprintf("type=%s;size=%d;modify=%s; %s", kind, e.size, e.time.UTC().Format("20060102150405"), e.name)
}

// errText is an error as a reply's text.
func errText(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "No such file or folder."
	}
	return err.Error()
}
