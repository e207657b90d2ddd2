package show

import (
	"cmp"
	"slices"
	"strconv"

	"ftpgate/proxy/api"
)

// Pinholes shows who may dial what: those that are open first, by the time
// that they have left.
func Pinholes(s Screen, list []api.Pinhole) error {
	p := s.page()
	if len(list) == 0 {
		p.line("no pinholes: nothing is open")
		return p.flush()
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b api.Pinhole) int {
		if a.Used != b.Used {
			return map[bool]int{false: -1, true: 1}[a.Used]
		}
		return cmp.Or(cmp.Compare(a.Remaining, b.Remaining), cmp.Compare(a.Session, b.Session))
	})
	t := &table{head: []string{">SESSION", "SERVICE", "MODE", ">LEFT", "FROM", "AT", "LEADS TO"}}
	for _, v := range list {
		left := "used"
		if !v.Used {
			left = seconds(v.Remaining)
		}
		t.add(strconv.FormatUint(v.Session, 10), v.Service, v.Mode, left, v.From, v.At, leads(v))
	}
	t.write(p)
	return p.flush()
}

func leads(v api.Pinhole) string {
	if v.Relayed {
		return v.To + ", carried by the process"
	}
	return v.To
}
