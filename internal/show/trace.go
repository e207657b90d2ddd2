package show

import (
	"strconv"

	"ftpgate/proxy/api"
)

// Traced shows an element of a trace as it comes. No line is cut.
func Traced(s Screen, t api.Traced) error {
	s.Width = 0
	p := s.page()
	from := t.Time.In(s.Now.Location()).Format("15:04:05.000") + "  " + strconv.FormatUint(t.Session, 10) + "  "
	switch t.Event {
	case "begin":
		p.line(from, "begins: ", t.Client, " at ", t.Service)
	case "end":
		p.line(from, "ends")
	default:
		p.line(from, said(t.Line))
	}
	return p.flush()
}
