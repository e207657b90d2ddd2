// Package api has what the daemon says of itself: the JSON under /api/v1/ of
// the admin listener and of the admin socket, which the status page and the
// command line read. docs/api.md is its manual.
//
// Names and meanings are a contract: a field may be added, none changes its
// name, type, unit or meaning, and none goes. Times are RFC 3339, durations and
// ages are seconds, sizes are bytes of payload, rates bytes per second.
// Addresses are "address:port". Whatever a peer has sent (user names, paths,
// replies) is text to be shown and nothing else: control bytes and what is not
// UTF-8 are escaped as \xNN, and it may look like anything, HTML for one.
package api
