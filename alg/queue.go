package alg

// maxOutstanding bounds the commands that wait for a reply. A client that
// pipelines more is read again when replies have come.
const maxOutstanding = 64

// command is one that waits for its final reply.
type command struct {
	verb    Verb
	started bool   // its 1yz has come
	id      ID     // the pinhole: a set-up's own; a data command's, once known
	local   []byte // the gateway's own reply, waiting for its turn; the server knows nothing of it
	special bool   // EPSV ALL, MODE B or C: what its success changes for the session
}

// queue holds the outstanding commands, the oldest first.
type queue struct{ cmds []command }

func (q *queue) push(c command) { q.cmds = append(q.cmds, c) }

func (q *queue) empty() bool { return len(q.cmds) == 0 }

func (q *queue) full() bool { return len(q.cmds) >= maxOutstanding }

// remove takes out the command at i.
func (q *queue) remove(i int) command {
	c := q.cmds[i]
	n := copy(q.cmds[i:], q.cmds[i+1:])
	q.cmds[i+n] = command{}
	q.cmds = q.cmds[:i+n]
	return c
}

// count returns how many outstanding commands have one of the traits.
func (q *queue) count(t traits) int {
	n := 0
	for i := range q.cmds {
		if c := &q.cmds[i]; c.local == nil && !c.special && c.verb.is(t) {
			n++
		}
	}
	return n
}

// match returns the index of the command that a reply with this code answers,
// or -1 when none is outstanding. It is the oldest, but for two liberties that
// RFC 959 §4.1.3 and servers take: during a transfer STAT, NOOP and their like
// may be answered first, and ABOR may go without a reply of its own.
func (q *queue) match(code int) int {
	for len(q.cmds) > 1 && q.cmds[0].verb == ABOR && !answersAbort(code) {
		q.remove(0)
	}
	oldest := q.oldest(0)
	if oldest < 0 {
		return -1
	}
	head := &q.cmds[oldest]
	if !head.verb.is(transfers) || !head.started || endsTransfer(code) {
		return oldest
	}
	for i := oldest + 1; i < len(q.cmds); i++ {
		if c := &q.cmds[i]; c.local == nil && typical(c.verb, code) {
			return i
		}
	}
	return max(q.oldest(oldest+1), oldest)
}

// oldest returns the index of the first command at or behind from that the
// server knows of, or -1.
func (q *queue) oldest(from int) int {
	for i := from; i < len(q.cmds); i++ {
		if q.cmds[i].local == nil {
			return i
		}
	}
	return -1
}

// answersAbort reports whether a reply can be one to ABOR (RFC 959 §5.4).
func answersAbort(code int) bool {
	return code == 225 || code == 226 || code == 421 || code == 426 || code == 451 || code >= 500 && code <= 504
}

// endsTransfer reports whether a reply that comes during a transfer is the
// transfer's (RFC 959 §5.4, STOR and RETR): anything but what can only be the
// answer to another command.
func endsTransfer(code int) bool {
	switch {
	case code < 200, code == 226, code == 250:
		return true
	case code >= 500 && code <= 504, code == 530:
		return false
	}
	return code >= 400
}

// typical reports whether a code is the one that a command is usually answered with.
func typical(v Verb, code int) bool {
	switch v {
	case STAT:
		return code >= 211 && code <= 213
	case NOOP:
		return code == 200
	case PASV:
		return code == 227
	case EPSV:
		return code == 229
	case QUIT:
		return code == 221
	case ABOR:
		return code == 225
	}
	return false
}
