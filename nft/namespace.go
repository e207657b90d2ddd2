package nft

import (
	"fmt"
	"os"
)

// A namespace is the network namespace of the thread that opened it, held so
// that connections made later, from other threads, belong to it too. For the
// namespace of the whole process nothing is held: entering one takes
// CAP_SYS_ADMIN, which a daemon does without.
type namespace struct{ file *os.File }

func openNamespace() (*namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("hold the network namespace: %w", err)
	}
	here, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("hold the network namespace: %w", err)
	}
	if process, err := os.Stat("/proc/self/ns/net"); err == nil && os.SameFile(here, process) {
		return &namespace{}, f.Close()
	}
	return &namespace{f}, nil
}

// fd is 0 for the namespace of the process.
func (n *namespace) fd() int {
	if n.file == nil {
		return 0
	}
	return int(n.file.Fd())
}

func (n *namespace) Close() {
	if n != nil && n.file != nil {
		_ = n.file.Close()
	}
}
