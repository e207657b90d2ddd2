package admin

import (
	"fmt"
	"math"
	"strings"
	"time"

	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// hostile are names as somebody sends them who wants the administrator's browser.
var hostile = []string{
	"<img src=x onerror=\"window.__pwned=true\">",
	"</td></table><script>window.__pwned=true</script>",
	"</script><script>window.__pwned=true;alert(1)</script>",
	"javascript:window.__pwned=true",
	"\"><svg onload=window.__pwned=true>",
	"{{constructor.constructor('window.__pwned=true')()}}",
	"${window.__pwned=true}",
	"&lt;b&gt; &amp; <!-- <b>",
	"gnp.eldoof\u202egpj.exe",
	"\u2067\u05d0\u05d1\u05d2 /\u2069\u200b\ufeff",
	strings.Repeat("A", 4096),
	strings.Repeat("<b>", 1365),
	`\x1b[2J\x07`,
	"__proto__",
	"constructor",
	"naïve файл 文件 ملف",
}

// crowd is a daemon with n sessions, three of four with a transfer, and hostile names among theirs.
func crowd(n int) *fake {
	daemon := example()
	s := &daemon.status
	s.Draining, s.Ready, s.NotReady = false, true, nil
	s.Services[0].Backends[1].Up = true
	s.Services = append(s.Services, api.Service{
		Name: "outbound", Mode: "forward", TLS: "pass", Listen: []string{"10.0.0.1:2121", "[fd00:10::1]:2121"},
		Sessions: n / 2, Done: 88123, Failed: 12, ToClients: 5 << 40, ToServers: 7 << 30,
	})
	daemon.sessions, daemon.pinholes, daemon.failures = nil, nil, nil
	for i := range n {
		daemon.sessions = append(daemon.sessions, guest(i))
		if i%4 != 1 {
			continue
		}
		daemon.pinholes = append(daemon.pinholes, api.Pinhole{
			Session: uint64(i + 1), Service: "files", Mode: "PASV", From: fmt.Sprintf("198.51.%d.%d", i/250, i%250),
			At: fmt.Sprintf("198.51.100.1:%d", 61000+i), To: fmt.Sprintf("10.0.0.5:%d", 40000+i), Relayed: i%8 == 1,
			Opened: moment, Used: i%3 != 0, Remaining: float64(60 - i%50),
		})
	}
	s.Sessions, s.Transfers, s.Relays = n, n*3/4, n/4
	for i := range 120 {
		daemon.failures = append(daemon.failures, misfortune(i))
	}
	s.Failures = len(daemon.failures)
	for _, p := range daemon.pinholes {
		if !p.Used {
			s.Pinholes++
		}
	}
	daemon.explain()
	daemon.throughput = waves()
	return daemon
}

// guest is one session of a crowd.
func guest(i int) api.Session {
	name := hostile[i/4%len(hostile)]
	s := api.Session{
		ID: uint64(i + 1), Service: []string{"files", "outbound"}[i%2], Client: fmt.Sprintf("198.51.%d.%d:%d", i/250, i%250, 40000+i%20000),
		User: name, Gateway: "198.51.100.1:21", Backend: "10.0.0.5:21", Protection: []string{"clear", "tls", "pass"}[i%3], Phase: "open",
		Doing: "idle", Began: moment.Add(-time.Duration(i*37) * time.Second), Idle: float64(i % 300), Done: uint64(i * 3), Failed: uint64(i % 3),
		ToClient: uint64(i) << 20, ToServer: uint64(i) << 10,
	}
	if i%4 == 3 {
		return s
	}
	s.Doing = "RETR /pub/" + name
	s.Transfers = []api.Running{{
		ID: fmt.Sprintf("%d.4", s.ID), Verb: "RETR", Path: "/pub/" + name, Direction: []string{"download", "upload", "listing"}[i%3],
		Mode: "PASV", Began: moment.Add(-9 * time.Second), Connected: i%4 != 1, Relayed: i%8 == 0, Bytes: uint64(i) << 16,
		Rate: float64((i*7919)%1000) * 1024 * float64((i%4+1)%2),
	}}
	return s
}

// misfortune is one failed transfer of a crowd.
func misfortune(i int) api.Failure {
	f := example().failures[0]
	f.ID, f.Session = fmt.Sprintf("%d.2", 120-i), uint64(120-i)
	f.Time = moment.Add(-time.Duration(i*i) * time.Second)
	f.Cause = string(cause.All[i*i%len(cause.All)])
	f.Path, f.User = "/incoming/"+hostile[i%len(hostile)], hostile[(i+3)%len(hostile)]
	f.Reply = "550 " + hostile[(i+5)%len(hostile)]
	return f
}

// explain has an explanation for each failure, with hostile lines in it.
func (f *fake) explain() {
	usual := f.explanations["7.2"]
	for _, failure := range f.failures {
		e := usual
		e.Failure = failure
		e.Lines = nil
		for i, name := range hostile {
			e.Lines = append(e.Lines, api.Line{
				Time: failure.Time.Add(time.Duration(i-len(hostile)) * 700 * time.Millisecond),
				From: []string{"client", "server", "gateway"}[i%3], Text: "RETR " + name, Sent: []string{"", name}[i%2],
			})
		}
		f.explanations[failure.ID] = e
	}
}

// waves are ten minutes of throughput, with a hole of a minute.
func waves() []api.Sample {
	var samples []api.Sample
	for i := range 300 {
		if i > 100 && i < 130 {
			continue
		}
		x := float64(i)
		samples = append(samples, api.Sample{
			Time:      moment.Add(time.Duration(i-299) * 2 * time.Second),
			ToClients: 90e6 * (1.2 + math.Sin(x/25) + 0.15*math.Sin(x*1.7)) / 2,
			ToServers: 30e6 * (1.1 + math.Cos(x/40) + 0.1*math.Sin(x*2.3)) / 2,
			Sessions:  900 + i/3, Transfers: 700 + i/4,
		})
	}
	return samples
}
