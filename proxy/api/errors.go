package api

import "errors"

// Errors that give an answer its status, to be wrapped. Any other is a 500.
var (
	ErrUnknown = errors.New("not known")        // 404: no such session, transfer or client
	ErrNotNow  = errors.New("not possible now") // 409
)
