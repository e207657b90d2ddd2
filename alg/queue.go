package alg

// maxOutstanding bounds the commands that wait for a reply. A client that
// pipelines more is read again when replies have come.
const maxOutstanding = 64

// command is one that waits for its final reply.
type command struct {
	number   uint32 // counts a session's commands
	verb     Verb   // what the server was sent
	asked    Verb   // what the client sent, where that may be another
	started  bool   // its 1yz has come
	special  bool   // EPSV ALL, MODE B or C: what its success changes for the session
	doubtful bool   // an ABOR whose transfer has ended: that reply may have been for both
	id       ID     // the pinhole: a set-up's own; a data command's, once known
	local    string // the gateway's own reply, waiting for its turn; the server knows nothing of it
	instead  string // the gateway's own reply to the client, in place of the server's
}

// clients is the command as the client sent it.
func (c command) clients() Verb {
	if c.asked != None {
		return c.asked
	}
	return c.verb
}

// queue holds the outstanding commands, the oldest first.
type queue struct {
	cmds     []command
	last     uint32 // number
	aborting bool   // a transfer was aborted and none has started since: replies to either may be one too many
}

func (q *queue) push(c command) {
	q.last++
	c.number = q.last
	q.cmds = append(q.cmds, c)
}

func (q *queue) empty() bool { return len(q.cmds) == 0 }

// ownNext reports whether the next reply is the gateway's own.
func (q *queue) ownNext() bool { return len(q.cmds) > 0 && q.cmds[0].local != "" }

// ends reports whether nothing may follow before the last command has had its
// reply: what comes behind REIN or AUTH then may be said within other TLS.
func (q *queue) ends() bool {
	n := len(q.cmds)
	return n > 0 && (q.cmds[n-1].verb == REIN || q.cmds[n-1].verb == AUTH)
}

// settled reports whether no reply must come any more.
func (q *queue) settled() bool {
	for i := range q.cmds {
		if !q.cmds[i].doubtful {
			return false
		}
	}
	return true
}

func (q *queue) full() bool { return len(q.cmds) >= maxOutstanding }

// remove takes out the command at i.
func (q *queue) remove(i int) command {
	c := q.cmds[i]
	n := copy(q.cmds[i:], q.cmds[i+1:])
	q.cmds[i+n] = command{}
	q.cmds = q.cmds[:i+n]
	return c
}

// has reports whether a command is outstanding, in its special form if special.
func (q *queue) has(v Verb, special bool) bool {
	for i := range q.cmds {
		if q.cmds[i].verb == v && q.cmds[i].special == special {
			return true
		}
	}
	return false
}

// count returns how many outstanding commands have one of the traits.
func (q *queue) count(t traits) int {
	n := 0
	for i := range q.cmds {
		if c := &q.cmds[i]; c.local == "" && !c.special && c.verb.is(t) {
			n++
		}
	}
	return n
}

// match returns the index of the command that a reply with this code answers,
// or -1 when none is outstanding. It is the oldest, but for the liberties that
// RFC 959 §4.1.3 and servers take: during a transfer STAT, NOOP and their like
// may be answered first, and an aborted transfer and its ABOR have one, two or
// three final replies together.
func (q *queue) match(code int) int {
	index, drop := q.locate(code)
	for range drop {
		q.remove(0)
	}
	return max(index-drop, -1)
}

// locate is match without taking out the commands in front that get no reply
// any more: it returns how many they are.
func (q *queue) locate(code int) (index, drop int) {
	for q.oldest(drop+1) >= 0 && q.cmds[drop].verb == ABOR && !answersAbort(code) {
		drop++
	}
	return q.behind(drop, code), drop
}

// behind is match for the commands at or behind from.
func (q *queue) behind(from, code int) int {
	oldest := q.oldest(from)
	if oldest < 0 {
		return -1
	}
	head := &q.cmds[oldest]
	switch {
	case q.aborting && abortsOnly(code) && !mayTransfer(head.verb):
		return -1
	case !head.verb.is(transfers) || !head.started || endsTransfer(code):
		return oldest
	}
	for i := oldest + 1; i < len(q.cmds); i++ {
		if c := &q.cmds[i]; c.local == "" && typical(c.verb, code) {
			return i
		}
	}
	return max(q.oldest(oldest+1), oldest)
}

// transferEnded notes that the transfer before the oldest command has had its
// final reply. If an ABOR is next, that reply may have been meant for both.
func (q *queue) transferEnded() {
	if i := q.oldest(0); i >= 0 && q.cmds[i].verb == ABOR {
		q.cmds[i].doubtful = true
	}
}

// oldest returns the index of the first command at or behind from that the
// server knows of, or -1.
func (q *queue) oldest(from int) int {
	for i := from; i < len(q.cmds); i++ {
		if q.cmds[i].local == "" {
			return i
		}
	}
	return -1
}

// answersAbort reports whether a reply can be one to ABOR (RFC 959 §5.4).
func answersAbort(code int) bool {
	return code == 225 || code == 226 || code == 421 || code == 426 || code == 451 || code >= 500 && code <= 504
}

// abortsOnly reports whether a reply can only be one to a transfer or to ABOR.
func abortsOnly(code int) bool { return code == 225 || code == 226 || code == 426 }

// mayTransfer reports whether such a reply can be the one to v.
func mayTransfer(v Verb) bool { return v.is(transfers) || v == ABOR || v == Other || v == SITE }

// endsTransfer reports whether a reply that comes during a transfer is the
// transfer's (RFC 959 §5.4, STOR and RETR): anything but what can only be the
// answer to another command.
func endsTransfer(code int) bool {
	switch {
	case code < 200, code == 225, code == 226, code == 250:
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
	}
	return false
}
