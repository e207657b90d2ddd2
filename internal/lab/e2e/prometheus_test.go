package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// prometheus is Debian's, on the gateway host: it scrapes the daemon there.
type prometheus struct {
	g    *gateway
	tree *debian.Tree
	log  *syncBuffer
}

const (
	prometheusAddress = "127.0.0.1:9090"

	// scrapes are so many that the interval which Prometheus may add to an
	// increase is no more than 2 % of it.
	scrapes = 60

	prometheusConfig = `
global: {scrape_interval: 50ms, scrape_timeout: 50ms}
scrape_configs:
- job_name: ftpgate
  static_configs: [{targets: ["127.0.0.1:9421"]}]
`
)

func startPrometheus(t *testing.T, g *gateway) *prometheus {
	t.Helper()
	dir, err := debian.PrometheusDir()
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{g: g, log: &syncBuffer{}}
	if p.tree, err = debian.Open(dir); err != nil {
		t.Skip(err)
	}
	conf := t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "prometheus.yml"), []byte(prometheusConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := p.tree.Command(t.Context(), g.lab.Gateway, []debian.Bind{{Host: conf, Inside: "/conf"}}, "prometheus",
		"--config.file=/conf/prometheus.yml", "--storage.tsdb.path=/tmp/data", "--web.listen-address="+prometheusAddress)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Stop()
		if t.Failed() {
			t.Logf("Prometheus's log:\n%s", p.log)
		}
	})
	eventually(t, "Prometheus has scraped the daemon", func() bool { return p.number("ftpgate_build_info") == 1 })
	return p
}

// query returns what an instant query is answered with, by labels as they are
// printed: {cause="bounce", service="files"}.
func (p *prometheus) query(query string) map[string]float64 {
	p.g.t.Helper()
	status, body := p.g.fetch("http://" + prometheusAddress + "/api/v1/query?query=" + url.QueryEscape(query))
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if status == 0 || status == 503 { // it starts
		return nil
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		p.g.t.Fatalf("%s: %d %s", query, status, body)
	}
	values := map[string]float64{}
	for _, r := range answer.Data.Result {
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			labels = append(labels, fmt.Sprintf("%s=%q", name, r.Metric[name]))
		}
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.g.t.Fatalf("%s: %s", query, body)
		}
		values["{"+strings.Join(labels, ", ")+"}"] = v
	}
	return values
}

// number is the answer to a query with one value; -1: there is no such.
func (p *prometheus) number(query string) float64 {
	values := slices.Collect(maps.Values(p.query(query)))
	if len(values) != 1 {
		return -1
	}
	return values[0]
}

// questions are the queries that the README has for Prometheus.
func questions(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```promql\n")
	text, _, closed := strings.Cut(text, "```")
	var queries []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			queries = append(queries, strings.TrimSpace(line))
		}
	}
	if !closed || len(queries) != 3 {
		t.Fatalf("the README has the queries %q, want three", queries)
	}
	return queries
}

// Prometheus answers the README's questions with what has happened.
func TestPrometheusAnswersTheQuestions(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := ftpd.NewTree()
	for name, size := range map[string]int64{"/100K": 100 << 10, "/3M": 3 << 20} {
		if err := files.PutZeros(name, size); err != nil {
			t.Fatal(err)
		}
	}
	runServer(t, l, &ftpd.Server{Files: files, User: "demo", Password: "demo"})
	g := prepareGateway(t, l, fmt.Sprintf(services, "")+relayedService)
	g.start()
	p := startPrometheus(t, g)
	queries := questions(t)
	someBusiness(t, l)

	eventually(t, "Prometheus has seen all of it, and often", func() bool {
		return p.number("sum(ftpgate_transfer_failures_total)") == 6 && p.number(`sum(ftpgate_transfers_total{result="done"})`) == 5 &&
			p.number("sum(ftpgate_transfer_bytes_total)") >= carried && p.number(`sum(ftpgate_logins_total)`) == 10 &&
			p.number("count_over_time(ftpgate_build_info[5m])") >= scrapes
	})
	answers(t, p, queries[0], map[string]float64{
		`{cause="bounce", service="files"}`: 2, `{cause="no_data_port", service="files"}`: 1,
		`{cause="server_error", service="files"}`: 1, `{cause="server_error", service="relayed"}`: 2,
	})
	const window = 5 * 60.0 // seconds
	answers(t, p, queries[1], map[string]float64{
		`{direction="download", service="files"}`: 100 << 10 / window, `{direction="upload", service="files"}`: 0,
		`{direction="listing", service="files"}`:    listed / window,
		`{direction="download", service="relayed"}`: (100<<10 + 3<<20) / window, `{direction="upload", service="relayed"}`: 1000 / window,
		`{direction="listing", service="relayed"}`: 0,
	})
	answers(t, p, queries[2], map[string]float64{`{service="files"}`: 2. / 6, `{service="relayed"}`: 1. / 4})
}

// relayedService is one whose data the daemon carries itself, so that it knows
// each byte of it.
const relayedService = `
[[service]]
name = "relayed"
listen = ["198.51.100.1:2121", "[2001:db8:1::1]:2121"]
backends = ["10.0.0.5:21", "[fd00:10::5]:21"]
tls.mode = "refuse"
data = "relay"
`

// What someBusiness lists, and all that it transfers.
const (
	listed  = float64(len("100K\r\n3M\r\n"))
	carried = 2*100<<10 + 3<<20 + 1000 + listed
)

// someBusiness is five transfers, two refused set-ups, four transfers that fail,
// and ten logins, three of which fail too.
func someBusiness(t *testing.T, l *lab.Lab) {
	t.Helper()
	const relay = "198.51.100.1:2121"
	download := func(c *ftpc.Client, mode, command string) {
		if _, err := c.Download(setUp(t, c, mode), command); err != nil {
			t.Error(err)
		}
	}
	must := func(c *ftpc.Client, class int, command string) {
		if err := c.Must(class, command); err != nil {
			t.Error(err)
		}
	}
	files, relayed := login(t, l.Client, gateway4), login(t, l.Client, relay)
	download(files, "EPSV", "RETR /100K")
	download(files, "PORT", "NLST")
	download(relayed, "PASV", "RETR /100K")
	download(relayed, "EPRT", "RETR /3M")
	if err := relayed.Upload(setUp(t, relayed, "PASV"), "STOR /up", make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	must(files, 5, "PORT 127,0,0,9,200,1")
	must(files, 5, "PORT 198,51,100,8,200,1")
	must(login(t, l.Client, gateway4), 4, "RETR /100K")
	for at, sessions := range map[string]int{gateway4: 1, relay: 2} {
		for range sessions {
			c := login(t, l.Client, at)
			setUp(t, c, "PASV")
			must(c, 5, "RETR /missing")
		}
	}
	for at, sessions := range map[string]int{gateway4: 2, relay: 1} {
		for range sessions {
			c, err := ftpc.Dial(l.Client, at)
			if err != nil {
				t.Fatal(err)
			}
			must(c, 3, "USER demo")
			must(c, 5, "PASS wrong")
			must(c, 2, "QUIT")
		}
	}
	must(login(t, l.Client, gateway4), 2, "QUIT")
}

// answers compares what a query is answered with with what is true. Prometheus
// adds to an increase what the time until now may have brought: an interval
// between two scrapes at most. And what the kernel counts is about.
func answers(t *testing.T, p *prometheus, query string, want map[string]float64) {
	t.Helper()
	got := p.query(query)
	for labels, v := range got {
		n, known := want[labels]
		if !known || v < n || v > n*(1+1.1/(scrapes-1)) {
			t.Errorf("%s\nis answered with %v for %s, want %v", query, v, labels, n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s\nis answered with %v, want %v", query, got, want)
	}
}

// Everything that is exposed is as Prometheus wants it, by its own check and by
// that of its client library.
func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	startFTPD(t, l)
	g := prepareGateway(t, l, fmt.Sprintf(services, "")+relayedService)
	g.start()
	login(t, l.Client, gateway4)
	_, text := g.get("/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, from := range []string{"ftpgate_sessions{", "ftpgate_build_info{", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(text, "\n"+from) {
			t.Errorf("there is no %s", from)
		}
	}
	dir, err := debian.PrometheusDir()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := debian.Open(dir)
	if err != nil {
		t.Skip(err)
	}
	check := tree.Command(t.Context(), l.Gateway, nil, "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
