package proxy

import "testing"

// Lines that the server sends in one segment reach the client whole and in
// order, also when one of them is the session's last or opens a pinhole.
func TestLinesThatComeTogether(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("PASV")
	d.client.write("RETR a\r\nNOOP\r\n")
	d.server.want("RETR a")
	d.server.want("NOOP")
	d.server.write("227 Entering Passive Mode (127,0,0,3,195,80)\r\n150 here\r\n226 done\r\n200 noop\r\n")
	if code := d.client.line()[:4]; code != "227 " {
		t.Errorf("first came %q", code)
	}
	for _, want := range []string{"150 here", "226 done", "200 noop"} {
		d.client.want(want)
	}
	d.client.write("QUIT\r\n")
	d.server.want("QUIT")
	d.server.write("211-more\r\n211 end\r\n221 bye\r\n")
	d.server.Close()
	for _, want := range []string{"211-more", "211 end", "221 bye"} {
		d.client.want(want)
	}
	d.client.wantEnd()
}
