package api

import "encoding/json"

// Lists are arrays in JSON, never null: who reads them need not ask.

// MarshalJSON writes the lists in it as arrays.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.NotReady, s.Services = array(s.NotReady), array(s.Services)
	return json.Marshal(plain(s))
}

// MarshalJSON writes the lists in it as arrays.
func (s Service) MarshalJSON() ([]byte, error) {
	type plain Service
	s.Listen, s.Backends = array(s.Listen), array(s.Backends)
	return json.Marshal(plain(s))
}

// MarshalJSON writes the list in it as an array.
func (s Session) MarshalJSON() ([]byte, error) {
	type plain Session
	s.Transfers = array(s.Transfers)
	return json.Marshal(plain(s))
}

// MarshalJSON writes the lists in it as arrays.
func (e Explanation) MarshalJSON() ([]byte, error) {
	type plain Explanation
	e.Evidence, e.Pinholes, e.Lines = array(e.Evidence), array(e.Pinholes), array(e.Lines)
	return json.Marshal(plain(e))
}

// MarshalJSON writes the list in it as an array.
func (e Ended) MarshalJSON() ([]byte, error) {
	type plain Ended
	e.Sessions = array(e.Sessions)
	return json.Marshal(plain(e))
}

func array[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
