package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func newVersion() *cobra.Command {
	return command("version", "Print the version", "", func(c *cobra.Command) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), "ftpgate %s (%s)\n", version, goVersion())
		return err
	})
}

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown Go"
}
