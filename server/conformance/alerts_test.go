package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// alert is when one of the usual alerts about an etcd fires.
type alert struct {
	name, when string
	majority   bool // it fires when there is none, and not in health
}

var alerts = []alert{
	{name: "members are down", majority: true, when: `max by (job) (
		sum without (instance) (up{job="etcd"} == bool 0)
		or count without (To) (sum without (instance) (rate(etcd_network_peer_sent_failures_total{job="etcd"}[2m])) > 0.01)) > 0`},
	{name: "too few members", majority: true, when: `sum by (job) (up{job="etcd"} == bool 1) < (count by (job) (up{job="etcd"}) + 1) / 2`},
	{name: "no leader", majority: true, when: `etcd_server_has_leader{job="etcd"} == 0`},
	{name: "many leaders", when: `increase((max without (instance) (etcd_server_leader_changes_seen_total{job="etcd"})
		or 0 * absent(etcd_server_leader_changes_seen_total{job="etcd"}))[15m:1m]) >= 4`},
	{name: "calls fail", when: `100 * sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job="etcd",
			grpc_code=~"Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded"}[5m]))
		/ sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job="etcd"}[5m])) > 5`},
	{name: "calls are slow", when: `histogram_quantile(0.99, sum without (grpc_type) (
		rate(grpc_server_handling_seconds_bucket{job="etcd", grpc_type="unary", grpc_method!="Defragment"}[5m]))) > 0.15`},
	{name: "peers are slow", when: `histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket{job="etcd"}[5m])) > 0.15`},
	{name: "proposals fail", when: `increase(etcd_server_proposals_failed_total{job="etcd"}[15m]) > 5`},
	{name: "syncs are slow", when: `histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket{job="etcd"}[5m])) > 0.5`},
	{name: "commits are slow", when: `histogram_quantile(0.99, rate(etcd_disk_backend_commit_duration_seconds_bucket{job="etcd"}[5m])) > 0.25`},
	{name: "the quota is nearly used", when: `100 * last_over_time(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[5m])
		/ last_over_time(etcd_server_quota_backend_bytes{job="etcd"}[5m]) > 95`},
	{name: "the quota will be used", when: `predict_linear(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[4h], 4 * 3600)
		> etcd_server_quota_backend_bytes{job="etcd"}`},
	{name: "much is fragmented", when: `last_over_time(etcd_mvcc_db_total_size_in_use_in_bytes{job="etcd"}[5m])
		/ last_over_time(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[5m]) < 0.5
		and etcd_mvcc_db_total_size_in_use_in_bytes{job="etcd"} > 100 * 1024 * 1024`},
}

// scraped and verdict are what the program in rules takes and gives.
type (
	scraped struct {
		At             int64
		Instance, Page string
	}
	verdict struct {
		Error           string
		Unmatched       []string
		Fires, Compared int
	}
)

// Prometheus itself finds every series that the usual alerts about an etcd look at,
// and those about members fire when two of three have stopped.
func TestAlerts(t *testing.T) {
	program := buildIn(t, "rules", ".", "rules")
	members, stops := startQuorate(t, 3, allNames...)
	var pages []scraped
	look := func() {
		for _, address := range members {
			pages = append(pages, scraped{time.Now().UnixMilli(), address, pageOf(t, address)})
		}
	}
	for range 3 {
		for _, address := range members {
			someTraffic(t, connect(t, address))
		}
		look()
	}
	for i, v := range evaluate(t, program, pages) {
		if v.Error != "" || len(v.Unmatched) > 0 || v.Compared == 0 {
			t.Errorf("%s: %+v", alerts[i].name, v)
		}
		if alerts[i].majority && v.Fires > 0 {
			t.Errorf("%s: fires in health", alerts[i].name)
		}
	}
	stops[0]()
	stops[1]()
	await(t, "a member to see that there is no leader", func() bool {
		return scrape(t, members[2])["etcd_server_has_leader"].GetMetric()[0].GetGauge().GetValue() == 0
	})
	look()
	for i, v := range evaluate(t, program, pages) {
		if v.Error != "" || alerts[i].majority && v.Fires == 0 {
			t.Errorf("%s, without a majority: %+v", alerts[i].name, v)
		}
	}
}

// pageOf is what a member shows, nothing if it is not there.
func pageOf(t *testing.T, address string) string {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// evaluate is what Prometheus makes of each alert at the time of the last page.
func evaluate(t *testing.T, program string, pages []scraped) (verdicts []verdict) {
	t.Helper()
	var expressions []string
	for _, a := range alerts {
		expressions = append(expressions, a.when)
	}
	question, err := json.Marshal(map[string]any{"Scrapes": pages, "Expressions": expressions})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(question), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(alerts) {
		t.Fatalf("%d verdicts on %d alerts: %v", len(verdicts), len(alerts), err)
	}
	return verdicts
}
