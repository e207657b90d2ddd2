package debian

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"ftpgate/internal/lab"
)

func TestServerThatEndsSaysWhy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces takes root")
	}
	dir, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Open(dir)
	if err != nil {
		t.Skip(err)
	}
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, complaint := range map[string]string{
		VSFTPD:  "500 OOPS: unrecognised variable in config file: nonsense",
		ProFTPD: "unknown configuration directive 'nonsense=21'",
	} {
		broken := recipe{config: func(port uint16, _ ServerOptions) string { return fmt.Sprintf("nonsense=%d\n", port) }, command: recipes[name].command}
		defer func(whole recipe) { recipes[name] = whole }(recipes[name])
		recipes[name] = broken
		_, err := tree.StartServer(t.Context(), l.Server, name, t.TempDir(), 21, ServerOptions{})
		if err == nil || !strings.Contains(err.Error(), complaint) || !strings.Contains(err.Error(), "it ended") {
			t.Errorf("%s: %v\nwant %q", name, err, complaint)
		}
	}
}
