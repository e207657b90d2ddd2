package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestListsAreNeverNull(t *testing.T) {
	for _, v := range []any{
		Status{}, Status{Services: []Service{{}}}, Service{}, Backend{}, Session{}, Running{}, Pinhole{}, Failure{}, Explanation{},
		Fate{}, Line{}, Traced{}, Ended{}, Closed{}, Drained{}, Sample{}, Problem{}, []Session{{}}, []Failure{{}},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("%T: %s", v, text)
		}
	}
}

// A type that writes itself as JSON must not be embedded: it would write the whole that holds it.
func TestNothingIsLostInJSON(t *testing.T) {
	when := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, want := range []any{
		&Status{Version: "v1", Now: when, NotReady: []string{"no table"}, Services: []Service{{Name: "files", Listen: []string{"a"}, Backends: []Backend{{"b", true}}}}},
		&Session{ID: 3, Transfers: []Running{{ID: "3.1", Rate: 0.5}}, Busy: true},
		&Explanation{
			Failure: Failure{ID: "3.1", Cause: "late"}, Pending: true, Evidence: []string{"seen"},
			Pinholes: []Fate{{Pinhole{Session: 3}, "used", when}}, Lines: []Line{{when, "client", "PASV", ""}},
		},
		&Ended{Sessions: []uint64{3, 4}},
		&Traced{3, "files", "192.0.2.1:4000", "line", Line{when, "server", "230 in", ""}},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := json.Unmarshal(text, got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T: %+v\nwant %+v\nby way of %s", want, got, want, text)
		}
	}
}
