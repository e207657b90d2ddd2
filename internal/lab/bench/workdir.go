package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workDir makes the folder of a run, and removes those of runs that were killed.
// A running one holds a lock on its own, which ends with its process.
func workDir() (dir string, remove func(), err error) {
	pattern := filepath.Join(os.TempDir(), "ftpgate-bench-*")
	unlock, err := lock(os.TempDir(), unix.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer unlock() // until here nobody takes a new folder for an old one
	stale, err := filepath.Glob(pattern)
	if err != nil {
		return "", nil, err
	}
	for _, old := range stale {
		if release, err := lock(old, unix.LOCK_EX|unix.LOCK_NB); err == nil {
			err = os.RemoveAll(old)
			release()
			if err != nil {
				return "", nil, err
			}
		}
	}
	if dir, err = os.MkdirTemp(filepath.Split(pattern)); err != nil {
		return "", nil, err
	}
	release, err := lock(dir, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // what is left, the next run removes
		release()
	}, nil
}

// lock locks a folder.
func lock(name string, how int) (release func(), err error) {
	fd, err := unix.Open(name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := unix.Flock(fd, how); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { unix.Close(fd) }, nil
}
