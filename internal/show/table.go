package show

import "strings"

// table has rows of equal length under a head. A head that begins with ">" is
// of numbers, which stand at its right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write aligns the columns. The last one is as long as it is, so that what is
// cut is of that.
func (t *table) write(p *page) {
	rows := make([][]string, 0, len(t.rows)+1)
	right := make([]bool, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
	}
	rows = append(rows, head)
	width := make([]int, len(head))
	for _, r := range t.rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = Printable(c)
			if c == "" {
				cells[i] = "-"
			}
		}
		rows = append(rows, cells)
	}
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], columns(c))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-columns(c))
			if right[i] {
				c = pad + c
			} else {
				c += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(c)
		}
		p.line(strings.TrimRight(line.String(), " "))
	}
}
