// Package profile has a program write down what its processor time goes to. Bench
// builds the daemon with it, by an overlay: what is released knows nothing of it.
package profile

import (
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// Signal begins a profile, and then ends it.
const Signal = syscall.SIGUSR1

// Begun is the name of a profile that is being made.
func Begun(file string) string { return file + ".begun" }

// To has profiles of this process written to a file, from one Signal to the next.
// The file is there when its profile has ended.
func To(file string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, Signal)
	go func() { // as long as the process
		for range signals {
			if err := profile(file, signals); err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		}
	}()
}

// Main is a file of package main that has a program profile itself.
func Main(file string) string {
	return fmt.Sprintf("package main\n\nimport \"ftpgate/internal/lab/bench/profile\"\n\nfunc init() { profile.To(%q) }\n", file)
}

func profile(file string, end <-chan os.Signal) error {
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(Begun(file), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	<-end
	pprof.StopCPUProfile()
	return os.Rename(f.Name(), file)
}
