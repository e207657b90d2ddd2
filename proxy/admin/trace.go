package admin

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"ftpgate/proxy/api"
)

// traceWrite is how long who reads a trace may take for a line.
const traceWrite = 10 * time.Second

// trace answers with a line of JSON for each line of the dialogue, as it comes. The answer begins at once, so an error of
// the tracing itself is its last line.
func trace(a Actor, client netip.Prefix) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		out := http.NewResponseController(w)
		if err := out.Flush(); err != nil {
			return
		}
		write := func(v any) error {
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			// A writer without deadlines has no peer that could keep it.
			_ = out.SetWriteDeadline(time.Now().Add(traceWrite))
			if _, err := w.Write(append(text, '\n')); err != nil {
				return err
			}
			return out.Flush()
		}
		err := a.Trace(r.Context(), client, func(t api.Traced) error { return write(t) })
		if err != nil && r.Context().Err() == nil {
			_ = write(api.Problem{Error: err.Error()}) // whether it arrives or not, this was the last
		}
	}
}
