package audit

import "time"

// appendJSON appends the line of an event.
func appendJSON(b []byte, e Event) []byte {
	o := object(b)
	e.fields(&o)
	o.end()
	return o
}

func (w Who) fields(o *object) {
	if w.Session != 0 {
		o.count("session", w.Session)
	}
	o.text("service", w.Service)
	o.addr("client", w.Client)
	o.addr("gateway", w.Gateway)
	o.addr("inside", w.Inside)
	o.addr("backend", w.Backend)
	o.text("user", w.User)
}

func (e SessionStart) fields(o *object) {
	o.begin(e.Time, "session_start")
	e.Who.fields(o)
}

func (e Login) fields(o *object) {
	o.begin(e.Time, "login")
	e.Who.fields(o)
	o.text("tried", e.Tried)
	o.flag("ok", e.OK)
	o.code("reply", e.Reply)
}

func (e Transfer) fields(o *object) {
	o.begin(e.Time, "transfer")
	e.Who.fields(o)
	o.key("id")
	*o = append(*o, '"')
	*o = appendID(*o, e.Session, e.Number)
	*o = append(*o, '"')
	o.text("verb", e.Verb)
	o.text("path", e.Path)
	o.text("mode", e.Mode)
	o.text("direction", e.Direction)
	o.flag("ascii", e.ASCII)
	o.flag("tls", e.Private)
	o.flag("relayed", e.Relayed)
	o.flow("client_data", e.ClientSide)
	o.flow("server_data", e.ServerSide)
	if e.counted() {
		o.count("bytes", e.Bytes)
	}
	o.text("bytes_source", string(e.source()))
	o.moment("started", e.Started)
	if e.Mode != "" && e.Connect >= 0 {
		o.millis("connect_ms", e.Connect)
	}
	o.millis("duration_ms", e.Took)
	o.codes("replies", e.Replies)
	o.outcome(e.Done)
	o.text("cause", e.Cause)
	o.text("detail", e.Detail)
}

// counted reports whether Bytes says anything.
func (e Transfer) counted() bool { return e.source() != Unknown }

func (e Transfer) source() Source {
	if e.Source == "" {
		return Unknown
	}
	return e.Source
}

func (e FileOp) fields(o *object) {
	o.begin(e.Time, "file_op")
	e.Who.fields(o)
	o.text("verb", e.Verb)
	o.text("path", e.Path)
	o.code("reply", e.Reply)
}

func (e Refused) fields(o *object) {
	o.begin(e.Time, "refused")
	e.Who.fields(o)
	o.text("verb", e.Verb)
	o.text("reason", e.Reason)
}

func (e Admin) fields(o *object) {
	o.begin(e.Time, "admin")
	if e.UID >= 0 {
		o.count("uid", uint64(e.UID))
	}
	o.text("action", e.Action)
	o.text("detail", e.Detail)
	o.outcome(e.Error == "")
	o.text("error", e.Error)
}

func (e SessionEnd) fields(o *object) {
	o.begin(e.Time, "session_end")
	e.Who.fields(o)
	o.text("result", e.Result)
	o.millis("duration_ms", e.Took)
	o.count("transfers", e.Transfers)
	o.count("failures", e.Failures)
	o.count("bytes_to_client", e.ToClient)
	o.count("bytes_to_server", e.ToServer)
}

// dropped stands where events are missing that found the queue full.
type dropped struct {
	time, since time.Time
	events      uint64
}

func (e dropped) fields(o *object) {
	o.begin(e.time, "dropped")
	o.moment("since", e.since)
	o.count("events", e.events)
}

// torn stands behind a line that was cut, when power failed for one.
type torn struct{ time time.Time }

func (e torn) fields(o *object) { o.begin(e.time, "torn") }
