package main

import "github.com/spf13/cobra"

func newDemo() *cobra.Command {
	return command("demo", "", "", func(*cobra.Command) error { return errSilent })
}
