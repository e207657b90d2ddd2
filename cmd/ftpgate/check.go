package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"ftpgate/internal/config"
	"ftpgate/nft"
	"ftpgate/proxy"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var path string
	var ruleset bool
	c := command("check", "Validate a configuration: all errors at once",
		"check reads a configuration and reports every error in it, each with its key and line.\n"+
			"Of the host only the certificates, keys and web_config files that it names are looked at. Nothing\n"+
			"is changed.",
		func(c *cobra.Command) error { return check(c, path, ruleset) })
	configFlag(c, &path)
	c.Flags().BoolVar(&ruleset, "ruleset", false, "print the nftables ruleset that run would install, to read")
	return c
}

func check(c *cobra.Command, path string, ruleset bool) error {
	file, err := load(path, c.ErrOrStderr())
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if ruleset {
		_, err := io.WriteString(out, nft.Ruleset(tableConfig(file), intercepts(file.Settings)...))
		return err
	}
	if err := spell(checkWebConfigs(path, file), c.ErrOrStderr()); err != nil {
		return err
	}
	if err := checkCredentials(file.Settings, path, c.ErrOrStderr()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is good: %s.\n", path, counted(len(file.Settings.Services), "service"))
	if len(file.NFT.AcceptIn) > 0 {
		fmt.Fprintf(out, "run keeps this rule in %s:\n\n    %s\n", strings.Join(file.NFT.AcceptIn, ", "), acceptRule(file.NFT.Mark))
		return nil
	}
	fmt.Fprintf(out, "If your firewall drops by default, put this line at the head of its input and forward chains:\n\n    %s\n", acceptRule(file.NFT.Mark))
	return nil
}

// checkCredentials reads certificates and keys as run would, and warns of what
// has expired or is about to.
func checkCredentials(s proxy.Settings, path string, stderr io.Writer) error {
	bad := 0
	for i, svc := range s.Services {
		expires, nameless, err := proxy.CheckCredentials(svc)
		if err != nil {
			bad++
			fmt.Fprintf(stderr, "%s: service[%d].%v\n", path, i, err)
		}
		if nameless {
			fmt.Fprintf(stderr, "%s: service[%d].tls.certificate names no host (subjectAltName): clients that verify it refuse it\n", path, i)
		}
		switch left := time.Until(expires); {
		case expires.IsZero() || left > proxy.Soon:
		case left <= 0:
			fmt.Fprintf(stderr, "%s: service[%d].tls.certificate has expired on %s: clients refuse it\n", path, i, expires.Format(time.DateOnly))
		default:
			fmt.Fprintf(stderr, "%s: service[%d].tls.certificate expires on %s: renew it\n", path, i, expires.Format(time.DateOnly))
		}
	}
	if bad > 0 {
		return fmt.Errorf("%s names files for TLS that cannot be used", path)
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// acceptRule is the one line that the admin's own firewall needs.
func acceptRule(mark uint32) string {
	return fmt.Sprintf("ct mark & 0x%08x == 0x%08x counter accept comment \"ftpgate\"", mark, mark)
}

// load reads and checks a configuration. What is wrong with it is printed, a
// line each.
func load(path string, stderr io.Writer) (*config.File, error) {
	file, err := read(path)
	return file, spell(err, stderr)
}

// read is load without a word.
func read(path string) (*config.File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	file, problems := config.Parse(data)
	if len(problems) == 0 {
		return file, nil
	}
	bad := &badConfig{summary: fmt.Sprintf("%s has %s; nothing was changed", path, counted(len(problems), "error"))}
	for _, p := range problems {
		bad.problems = append(bad.problems, p.In(path))
	}
	return nil, bad
}

// badConfig is everything that is wrong with a configuration.
type badConfig struct {
	problems []string // a line each
	summary  string
}

func (b *badConfig) Error() string {
	return strings.Join(append(slices.Clone(b.problems), b.summary), "\n")
}

// spell prints what is wrong with a configuration, and leaves the summary.
func spell(err error, stderr io.Writer) error {
	var bad *badConfig
	if !errors.As(err, &bad) {
		return err
	}
	for _, p := range bad.problems {
		fmt.Fprintln(stderr, p)
	}
	return errors.New(bad.summary)
}

// tableConfig is what of a configuration the table in the kernel needs.
func tableConfig(file *config.File) nft.Config {
	return nft.Config{
		Name: file.NFT.Table, Mark: file.NFT.Mark, Owner: file.NFT.Owner,
		Listen: listens(file.Settings),
	}
}
