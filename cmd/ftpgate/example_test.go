package main

import (
	"time"

	"ftpgate/proxy/api"
)

// example is the daemon of the manual: one client downloads, one is about to
// list, and one called because nothing works.
func example() *recorded {
	failed := example42()
	pending := example57()
	return &recorded{
		status:   exampleStatus(),
		sessions: exampleSessions(),
		pinholes: []api.Pinhole{
			{Session: 57, Service: "files", Mode: "EPSV", From: "198.51.100.23", At: "203.0.113.1:62208", To: "10.0.0.5:30107", Opened: noon.Add(-18 * time.Second), Remaining: 41.7},
			{Session: 51, Service: "files", Mode: "PASV", From: "198.51.100.7", At: "203.0.113.1:61044", To: "10.0.0.5:30012", Opened: noon.Add(-95 * time.Second), Used: true},
		},
		failures: []api.Explanation{failed, pending, {Failure: api.Failure{
			ID: "39.1", Time: noon.Add(-26 * time.Hour), Session: 39, Service: "files", Client: "198.51.100.7:40110", User: "alice", Backend: "10.0.0.5:21",
			Verb: "STOR", Path: "/in/report.pdf", Direction: "upload", Mode: "PASV", Reply: "553 Could not create file.", Cause: "server_error",
			Sentence: "The server said no: 553 Could not create file.", Advice: "Look at the server: its log, and who may write there.",
		}}},
		traced: []api.Traced{
			{Session: 61, Service: "files", Client: "198.51.100.88:50211", Event: "begin", Line: api.Line{Time: noon.Add(100 * time.Millisecond)}},
			traced(150, "server", "220 Files", ""),
			traced(210, "client", "USER bob", ""),
			traced(215, "server", "331 Please specify the password.", ""),
			traced(380, "client", "PASS ****", ""),
			traced(410, "server", "230 Login successful.", ""),
			traced(600, "client", "PASV", ""),
			traced(604, "server", "227 Entering Passive Mode (10,0,0,5,117,48).", "227 Entering Passive Mode (203,0,113,1,240,64)."),
			{Session: 61, Service: "files", Client: "198.51.100.88:50211", Event: "end", Line: api.Line{Time: noon.Add(2 * time.Second)}},
		},
	}
}

func traced(millis int, from, text, sent string) api.Traced {
	return api.Traced{
		Session: 61, Service: "files", Client: "198.51.100.88:50211", Event: "line",
		Line: api.Line{Time: noon.Add(time.Duration(millis) * time.Millisecond), From: from, Text: text, Sent: sent},
	}
}

func exampleStatus() api.Status {
	return api.Status{
		Version: "v1.0.0", Now: noon, Started: noon.Add(-75 * time.Hour), Config: "/etc/ftpgate/ftpgate.toml", ConfigLoaded: noon.Add(-20 * time.Minute),
		Table: "ftpgate", TableOwned: true, Ready: true, Sessions: 3, SessionsLimit: 10000, Transfers: 2, Pinholes: 1, Failures: 2,
		Services: []api.Service{{
			Name: "files", Mode: "reverse", TLS: "refuse", Listen: []string{"203.0.113.1:21"},
			Backends: []api.Backend{{Address: "10.0.0.5:21", Up: true}, {Address: "10.0.0.6:21"}},
			Sessions: 3, Transfers: 2, Pinholes: 2, Done: 1841, Failed: 2, ToClients: 61_204_332_112, ToServers: 7_101_992,
		}},
	}
}

func exampleSessions() []api.Session {
	return []api.Session{
		{ID: 51, Service: "files", Client: "198.51.100.7:40112", User: "alice", Backend: "10.0.0.5:21", Protection: "clear", Phase: "open", Doing: "RETR /pub/big.iso",
			Began: noon.Add(-4 * time.Minute), Idle: 95, Done: 3, ToClient: 2_301_877_000, Transfers: []api.Running{{
				ID: "51.4", Verb: "RETR", Path: "/pub/big.iso", Direction: "download", Mode: "PASV", Began: noon.Add(-95 * time.Second), Connected: true,
				Bytes: 2_147_483_648, Rate: 23_592_960,
			}}},
		{ID: 58, Service: "files", Client: "198.51.100.41:51002", User: "carol", Backend: "10.0.0.5:21", Protection: "clear", Phase: "open", Doing: "idle",
			Began: noon.Add(-80 * time.Second), Idle: 3.2, Done: 1, ToServer: 48_211},
		{ID: 57, Service: "files", Client: "198.51.100.23:33190", User: "bob", Backend: "10.0.0.5:21", Protection: "clear", Phase: "open", Doing: "LIST",
			Began: noon.Add(-2 * time.Minute), Idle: 17.9, Failed: 1, Transfers: []api.Running{{
				ID: "57.2", Verb: "LIST", Direction: "listing", Mode: "EPSV", Began: noon.Add(-18 * time.Second),
			}}},
	}
}

func example42() api.Explanation {
	at := noon.Add(-3 * time.Minute)
	line := func(before time.Duration, from, text, sent string) api.Line {
		return api.Line{Time: at.Add(-before), From: from, Text: text, Sent: sent}
	}
	return api.Explanation{
		Failure: api.Failure{
			ID: "42.2", Time: at, Session: 42, Service: "files", Client: "198.51.100.88:50190", User: "bob", Backend: "10.0.0.5:21",
			Verb: "LIST", Direction: "listing", Mode: "PASV", Reply: "425 Failed to establish connection.", Cause: "no_syn",
			Sentence: "Nobody dialled the data connection: no packet came to the port that the client was told.",
			Advice:   "Something before the client keeps it from dialling 203.0.113.1:61877, or has changed the 227. Have the client try EPSV, and look at its firewall.",
		},
		Evidence: []string{
			"the pinhole for 198.51.100.88 stood open for 60 s and nobody came",
			"no packet to 203.0.113.1:61877 came from anybody",
			"the server gave up with 425",
		},
		Pinholes: []api.Fate{
			{Fate: "used", Ended: at.Add(-70 * time.Second), Pinhole: api.Pinhole{Mode: "PORT", From: "10.0.0.5", At: "10.0.0.1:31200", To: "198.51.100.88:50191", Opened: at.Add(-70020 * time.Millisecond)}},
			{Fate: "expired", Ended: at.Add(-2 * time.Millisecond), Pinhole: api.Pinhole{Mode: "PASV", From: "198.51.100.88", At: "203.0.113.1:61877", To: "10.0.0.5:30210", Opened: at.Add(-60004 * time.Millisecond)}},
		},
		Lines: []api.Line{
			line(61*time.Second, "client", "FEAT", ""),
			line(60998*time.Millisecond, "gateway", "211 End", ""),
			line(60010*time.Millisecond, "client", "PASV", ""),
			line(60005*time.Millisecond, "server", "227 Entering Passive Mode (10,0,0,5,118,2).", "227 Entering Passive Mode (203,0,113,1,241,181)."),
			line(59990*time.Millisecond, "client", "LIST", ""),
			line(0, "server", "425 Failed to establish connection.", ""),
		},
	}
}

func example57() api.Explanation {
	return api.Explanation{
		Pending: true,
		Failure: api.Failure{
			ID: "57.2", Time: noon, Session: 57, Service: "files", Client: "198.51.100.23:33190", User: "bob", Backend: "10.0.0.5:21",
			Verb: "LIST", Direction: "listing", Mode: "EPSV", Cause: "no_syn",
			Sentence: "Nobody has dialled the data connection yet.", Advice: "Wait, or look at the client's firewall.",
		},
		Evidence: []string{"the pinhole stays open for 42 s more"},
		Pinholes: []api.Fate{{Fate: "open", Pinhole: api.Pinhole{Mode: "EPSV", From: "198.51.100.23", At: "203.0.113.1:62208", To: "10.0.0.5:30107", Opened: noon.Add(-18 * time.Second)}}},
		Lines: []api.Line{
			{Time: noon.Add(-17900 * time.Millisecond), From: "client", Text: "LIST"},
		},
	}
}
