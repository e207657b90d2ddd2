package api

import "time"

// Failure is an element of GET /api/v1/failures, the latest first: a transfer
// that failed, or whose set-up did.
type Failure struct {
	ID        string    `json:"id"` // session.number
	Time      time.Time `json:"time"`
	Session   uint64    `json:"session"`
	Service   string    `json:"service"`
	Client    string    `json:"client"`
	User      string    `json:"user"`
	Backend   string    `json:"backend"`
	Verb      string    `json:"verb"` // the data command, or the set-up that was refused
	Path      string    `json:"path"`
	Direction string    `json:"direction"` // download, upload, listing; "": only its set-up is known
	Mode      string    `json:"mode"`
	Reply     string    `json:"reply"` // the last one to the client, redacted
	Bytes     uint64    `json:"bytes"`
	Cause     string    `json:"cause"`    // one word of a closed set
	Sentence  string    `json:"sentence"` // what happened
	Advice    string    `json:"advice"`   // what to do
}

// Explanation is GET /api/v1/explain/ID. Of a transfer that still runs it says
// what would be the cause if it failed now.
type Explanation struct {
	Failure
	Pending  bool     `json:"pending"`  // it has not failed: it runs
	Evidence []string `json:"evidence"` // what was seen, in words
	Pinholes []Fate   `json:"pinholes"` // the session's last ones, the oldest first
	Lines    []Line   `json:"lines"`    // the session's last ones, the oldest first
}

// Fate is what became of a pinhole.
type Fate struct {
	Pinhole
	Fate  string    `json:"fate"`  // open, used, expired, replaced, closed, refused
	Ended time.Time `json:"ended"` // zero: not yet
}

// Ended is the answer to POST /api/v1/kill: the sessions that were told to end.
type Ended struct {
	Sessions []uint64 `json:"sessions"`
}

// Closed is the answer to POST /api/v1/close-all.
type Closed struct {
	Closed int `json:"closed"`
}

// Drained is the answer to POST /api/v1/drain and /undrain.
type Drained struct {
	Draining bool `json:"draining"`
	Sessions int  `json:"sessions"` // that go on
}

// Problem is the body of every answer that is not 2xx.
type Problem struct {
	Error string `json:"error"` // what happened, why, and what to do
}
