package show

import (
	"strings"

	"ftpgate/proxy/api"
)

// Failures shows failed transfers in the order given, the latest first.
func Failures(s Screen, list []api.Failure) error {
	p := s.page()
	if len(list) == 0 {
		p.line("no failed transfers are known")
		return p.flush()
	}
	t := &table{head: []string{"TIME", "ID", "SERVICE", "CLIENT", "USER", "CAUSE", "COMMAND", "WHAT HAPPENED"}}
	for _, f := range list {
		t.add(p.at(f.Time), f.ID, f.Service, host(f.Client), f.User, f.Cause, command(f), f.Sentence)
	}
	t.write(p)
	return p.flush()
}

func command(f api.Failure) string { return strings.TrimSpace(f.Verb + " " + f.Path) }
