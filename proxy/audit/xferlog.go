package audit

import (
	"bytes"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Longest names in an xferlog: readers take lines of 4 KiB and pass over longer
// ones. The JSON has the whole name.
const (
	longestPath = 2000
	longestUser = 200
)

// appendXferlog appends the xferlog line (xferlog(5)) of a download or an upload.
// Listings and all other events have none. Where the servers that write xferlogs
// differ, it does as vsftpd: a transfer that never began has a line too, and the
// least duration is a second, so that nobody divides by zero.
func appendXferlog(b []byte, e Event, zone *time.Location) []byte {
	t, ok := fileTransfer(e)
	if !ok {
		return b
	}
	b = t.Time.In(zone).AppendFormat(b, time.ANSIC)
	b = append(b, ' ')
	b = strconv.AppendInt(b, max(1, int64(t.Took.Round(time.Second)/time.Second)), 10)
	b = append(b, ' ')
	b = appendHost(b, t)
	b = append(b, ' ')
	b = strconv.AppendUint(b, t.Bytes, 10)
	b = append(b, ' ')
	b = appendName(b, t.Path, longestPath)
	b = append(b, ' ', either(t.ASCII, 'a', 'b'), ' ', '_', ' ', either(t.Direction == "upload", 'i', 'o'), ' ')
	b = append(b, either(t.User == "anonymous" || t.User == "ftp", 'a', 'r'), ' ')
	b = appendName(b, t.User, longestUser)
	return append(b, ' ', 'f', 't', 'p', ' ', '0', ' ', '*', ' ', either(t.Done, 'c', 'i'), '\n')
}

// fileTransfer returns the transfer of a file that an event is.
func fileTransfer(e Event) (t Transfer, ok bool) {
	switch e := e.(type) {
	case Transfer:
		t = e
	case *Transfer:
		t = *e
	}
	return t, t.Direction == "download" || t.Direction == "upload"
}

func appendHost(b []byte, t Transfer) []byte {
	if !t.Client.IsValid() {
		return append(b, '-')
	}
	return t.Client.Addr().Unmap().WithZone("").AppendTo(b)
}

// appendName appends a name as one field: what is a space, or cannot be seen, is
// an underscore, as ProFTPD writes it. So is what would fool the readers that
// know quotes and brackets (Webalizer takes all up to the closing one for one
// field): any quote, and brackets that are not in pairs. No name is "-".
func appendName(b []byte, name string, longest int) []byte {
	if name == "" {
		return append(b, '-')
	}
	start := len(b)
	for i, n := 0, 0; i < len(name); i += n {
		r, size := utf8.DecodeRuneInString(name[i:])
		n = size
		if len(b)-start+n > longest {
			break
		}
		if r == utf8.RuneError && n == 1 || r == ' ' || r == '"' || !unicode.IsPrint(r) {
			b = append(b, '_')
		} else {
			b = append(b, name[i:i+n]...)
		}
	}
	pairs(b[start:], '(', ')')
	pairs(b[start:], '[', ']')
	return b
}

// pairs makes underscores of brackets, unless each that opens is closed.
func pairs(name []byte, opening, closing byte) {
	open := 0
	for _, c := range name {
		switch c {
		case opening:
			open++
		case closing:
			open = max(0, open-1)
		}
	}
	if open == 0 {
		return
	}
	for i, c := range name {
		if c == opening || c == closing {
			name[i] = '_'
		}
	}
}

func either(is bool, yes, no byte) byte {
	if is {
		return yes
	}
	return no
}

// appendID appends what a transfer is called everywhere: session.number.
func appendID(b []byte, session uint64, number uint32) []byte {
	b = strconv.AppendUint(b, session, 10)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(number), 10)
}

// lines counts whole lines.
func lines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }
