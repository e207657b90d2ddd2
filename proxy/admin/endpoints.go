package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"ftpgate/proxy/api"
)

// prefix of all endpoints. A change that breaks who reads them takes another one.
const prefix = "/api/v1"

// endpoint is one of the API. Its answer is written as JSON, unless it is an http.HandlerFunc, which writes itself.
type endpoint struct {
	method string
	path   string   // below prefix, as ServeMux has it
	query  []string // the parameters that there are
	answer func(r *http.Request, q query) (any, error)
}

// looks are the endpoints that change nothing.
func looks(from Reader) []endpoint {
	return []endpoint{
		{http.MethodGet, "/status", nil, func(*http.Request, query) (any, error) { return from.Status(), nil }},
		{http.MethodGet, "/sessions", []string{"id", "client", "user", "service"}, func(_ *http.Request, q query) (any, error) {
			f, err := q.filter()
			return list(err, func() []api.Session { return from.Sessions(f) })
		}},
		{http.MethodGet, "/pinholes", nil, func(*http.Request, query) (any, error) { return list(nil, from.Pinholes) }},
		{http.MethodGet, "/failures", []string{"client", "user", "service"}, func(_ *http.Request, q query) (any, error) {
			f, err := q.filter()
			return list(err, func() []api.Failure { return from.Failures(f) })
		}},
		{http.MethodGet, "/explain/{id}", nil, func(r *http.Request, _ query) (any, error) {
			id := r.PathValue("id")
			if err := checkID(id); err != nil {
				return nil, err
			}
			return from.Explain(id)
		}},
		{http.MethodGet, "/explain", []string{"client"}, func(_ *http.Request, q query) (any, error) {
			client, err := q.address("client")
			if err != nil {
				return nil, err
			}
			return from.ExplainClient(client)
		}},
		{http.MethodGet, "/throughput", nil, func(*http.Request, query) (any, error) { return list(nil, from.Throughput) }},
	}
}

// acts are the endpoints that change something, or show what users type.
func acts(by Actor) []endpoint {
	drain := func(on bool) func(*http.Request, query) (any, error) {
		return func(r *http.Request, _ query) (any, error) { return by.Drain(r.Context(), on) }
	}
	return []endpoint{
		{http.MethodPost, "/kill", []string{"id", "client", "user", "service"}, func(r *http.Request, q query) (any, error) {
			f, err := q.filter()
			if err == nil && f == (api.Filter{}) {
				err = badf("say which sessions to end: id, client, user or service")
			}
			if err != nil {
				return nil, err
			}
			return by.Kill(r.Context(), f)
		}},
		{http.MethodPost, "/drain", nil, drain(true)},
		{http.MethodPost, "/undrain", nil, drain(false)},
		{http.MethodPost, "/reload", nil, func(r *http.Request, _ query) (any, error) { return struct{}{}, by.Reload(r.Context()) }},
		{http.MethodPost, "/close-all", nil, func(r *http.Request, _ query) (any, error) { return by.CloseAll(r.Context()) }},
		{http.MethodGet, "/trace", []string{"client"}, func(_ *http.Request, q query) (any, error) {
			client, err := q.prefix("client")
			return trace(by, client), err
		}},
	}
}

// list makes an array of what may be nil.
func list[T any](err error, get func() []T) (any, error) {
	if err != nil {
		return nil, err
	}
	return append([]T{}, get()...), nil
}

// serveAPI registers endpoints, and answers for what is none.
func serveAPI(mux *http.ServeMux, endpoints []endpoint) {
	var known []string
	for _, e := range endpoints {
		known = append(known, e.method+" "+prefix+e.path)
		mux.HandleFunc(prefix+e.path, e.serve)
	}
	mux.HandleFunc(prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, fmt.Errorf("no %s here; there is: %s", r.URL.Path, strings.Join(known, ", ")))
	})
}

func (e endpoint) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != e.method && (r.Method != http.MethodHead || e.method != http.MethodGet) {
		w.Header().Set("Allow", e.method)
		problem(w, http.StatusMethodNotAllowed, fmt.Errorf("%s takes %s, not %s", r.URL.Path, e.method, r.Method))
		return
	}
	q, err := parseQuery(r.URL.RawQuery, e.query)
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	answer, err := e.answer(r, q)
	if err != nil {
		problem(w, status(err), err)
		return
	}
	if writes, ok := answer.(http.HandlerFunc); ok {
		writes(w, r)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func status(err error) int {
	switch {
	case errors.Is(err, errBad):
		return http.StatusBadRequest
	case errors.Is(err, api.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, api.ErrNotNow):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func problem(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, api.Problem{Error: err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // a number that JSON has no word for
		status = http.StatusInternalServerError
		text, _ = json.Marshal(api.Problem{Error: "write the answer: " + err.Error()}) // a string always can be
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked may be gone
}
