package doctor

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A server that answers EPSV before the login, as RFC 2428 has it, is not
// complained of.
func TestEPSVBeforeLogin(t *testing.T) {
	client, server := net.Pipe()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answers := map[string]string{"FEAT": "502 No", "EPSV": "229 Ext (|||59817|)"}
		for lines := bufio.NewScanner(server); lines.Scan(); {
			if a := answers[lines.Text()]; a != "" {
				_, _ = fmt.Fprintf(server, "%s\r\n", a) // the client sees what is missing
			}
		}
	}()
	asked := talk{at: netip.MustParseAddrPort("[2001:db8::5]:21")}
	err := asked.askAround(newLine(client, time.Second, time.Now().Add(time.Second)))
	_ = client.Close()
	<-answered
	if err != nil {
		t.Fatal(err)
	}
	if asked.setUp.code != 229 || !asked.setUp.isSetUp() {
		t.Errorf("%v is not a set-up", asked.setUp)
	}
}

// What a server answers to a passive set-up, and whether it names a port.
func TestSetUpReply(t *testing.T) {
	tests := map[string]struct {
		reply reply
		want  bool
	}{
		"229 of RFC 2428":           {reply{229, []string{"Ext (|||59817|)"}}, true},
		"229 with other delimiters": {reply{229, []string{"Entering Extended Passive Mode (!!!21!)"}}, true},
		"229 with two delimiters":   {reply{229, []string{"Ext (||59817|)"}}, false},
		"229 without a port":        {reply{229, []string{"Ext (||||)"}}, false},
		"229 without parentheses":   {reply{229, []string{"Ext |||59817|"}}, false},
		"227":                       {reply{227, []string{"Passive (10,0,0,5,233,169)"}}, true},
		"227 above 255":             {reply{227, []string{"Passive (10,0,0,5,256,169)"}}, false},
		"229 in a 227":              {reply{227, []string{"Ext (|||59817|)"}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.reply.isSetUp(); got != test.want {
				t.Errorf("%v: %v, want %v", test.reply, got, test.want)
			}
		})
	}
}
