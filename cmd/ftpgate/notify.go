package main

import (
	"net"
	"os"
)

// notify tells systemd the daemon's state (sd_notify(3)), where it asked for it.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return // nobody to tell, and nothing depends on it
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
