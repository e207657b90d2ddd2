package nft

import (
	"fmt"
	"os"
)

// A namespace is the network namespace of the thread that opened it, held so
// that connections made later, from other threads, belong to it too.
type namespace struct{ file *os.File }

func openNamespace() (*namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("hold the network namespace: %w", err)
	}
	return &namespace{f}, nil
}

func (n *namespace) fd() int { return int(n.file.Fd()) }

func (n *namespace) Close() {
	if n != nil {
		_ = n.file.Close()
	}
}
