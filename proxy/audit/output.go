package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// output is an open file that takes whole lines. It is owned by whoever writes.
type output struct {
	path string
	file *os.File
	torn bool // the file ends within a line, which is not taken back
}

// openOutput opens a file for append. A FIFO is not waited for: without a reader
// it is an error.
func openOutput(path string) (*output, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, remedy(path, err))
	}
	return &output{path: path, file: file}, nil
}

// remedy says what to do about an error of opening.
func remedy(path string, err error) string {
	switch {
	case errors.Is(err, syscall.ENXIO):
		return "nobody reads this FIFO: start its reader first"
	case errors.Is(err, fs.ErrNotExist):
		return "make the folder: mkdir -p -m 0750 " + filepath.Dir(path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "let ftpgate write there (owner, mode, and ReadWritePaths= of its unit), or write another path"
	}
	return "write the path of a file that can be written"
}

// inspect looks whether the last line of a file that nobody writes has its end.
// One may be allowed to append and not to read: then it is taken for whole.
func (o *output) inspect() {
	info, err := o.file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return
	}
	file, err := os.Open(o.path)
	if err != nil {
		return
	}
	defer file.Close()
	last := []byte{'\n'}
	_, _ = file.ReadAt(last, info.Size()-1)
	o.torn = last[0] != '\n'
}

// inherit takes over what an output to the same file knows of its end.
func (o *output) inherit(old *output) {
	a, errA := o.file.Stat()
	b, errB := old.file.Stat()
	o.torn = errA == nil && errB == nil && os.SameFile(a, b) && old.torn
}

// present returns o, or, when somebody has removed its file, another one in its
// place: what is written to a file without a name is lost. A file that has
// another name now is left alone.
func (o *output) present() (*output, error) {
	info, err := o.file.Stat()
	if err != nil {
		return o, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Nlink > 0 {
		return o, nil
	}
	fresh, err := openOutput(o.path)
	if err != nil {
		return o, fmt.Errorf("the file was removed: %w", err)
	}
	_ = o.file.Close() // nobody can read it any more
	return fresh, nil
}

// mend ends a line that was cut, and writes a notice of it behind.
func (o *output) mend(notice []byte) error {
	if _, err := o.write(append([]byte{'\n'}, notice...)); err != nil {
		return err
	}
	o.torn = false
	return nil
}

// write writes lines, and returns how many of their bytes the file has taken in
// whole lines: a piece of one is taken back, so that a file has whole ones alone.
func (o *output) write(lines []byte) (int, error) {
	n, err := o.file.Write(lines)
	if err == nil {
		return n, nil
	}
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	o.takeBack(int64(n - whole))
	return whole, err
}

// takeBack removes the last n bytes of the file.
func (o *output) takeBack(n int64) {
	if n == 0 {
		return
	}
	info, err := o.file.Stat()
	if err == nil && info.Mode().IsRegular() {
		if err = o.file.Truncate(info.Size() - n); err == nil {
			return
		}
	}
	o.torn = true // a FIFO, or one that may only grow (chattr +a)
}

// interrupt ends a write that waits for the reader of a FIFO. Nothing ends one
// that waits for a disk.
func (o *output) interrupt() { _ = o.file.SetWriteDeadline(time.Now()) }

func (o *output) close() error { return o.file.Close() }
