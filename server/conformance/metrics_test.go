package conformance

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// allNames are the flags that have quorate show all that it has under etcd's names.
// etcd knows the second.
var allNames = []string{"--metrics-compat=etcd", "--metrics=extensive"}

// shape is what a rule may rely on in a metric: its kind, and the labels of its series.
type shape struct {
	kind   dto.MetricType
	labels string
}

func (s shape) String() string { return fmt.Sprintf("%v{%s}", s.kind, s.labels) }

// later are metrics that etcd shows only when the first message was lost, or half a
// minute after its start.
var later = map[string]shape{
	"etcd_network_peer_sent_failures_total":     {dto.MetricType_COUNTER, "To"},
	"etcd_network_peer_round_trip_time_seconds": {dto.MetricType_HISTOGRAM, "To"},
}

// TestSameMetrics compares what two clusters of three show after the same traffic. An
// etcd that is alone has no series about its peers.
func TestSameMetrics(t *testing.T) {
	etcd := startEtcds(t, 3, allNames[1])
	quorate, _ := startQuorate(t, 3, allNames...)
	untilQuota(t, quorate)
	there, here := shapes(t, etcd), shapes(t, quorate)
	for name, theirs := range later {
		if _, shown := there[name]; !shown {
			there[name] = theirs
		}
	}
	absent := absentNames(t)
	for name, theirs := range there {
		switch ours, shown := here[name]; {
		case shown && ours != theirs:
			t.Errorf("%s is %v, with etcd %v", name, ours, theirs)
		case !shown && !slices.Contains(absent, name):
			t.Errorf("%s is not shown, and docs/etcd-compat.md does not say so", name)
		}
	}
	for _, name := range absent {
		if _, shown := here[name]; shown {
			t.Errorf("%s is shown; docs/etcd-compat.md says that it is not", name)
		}
		if _, known := there[name]; !known {
			t.Errorf("%s is in docs/etcd-compat.md; etcd has no such metric", name)
		}
	}
	for name := range here {
		if _, known := there[name]; etcds(name) && !known {
			t.Errorf("%s is shown; etcd has no such metric", name)
		}
	}
	t.Logf("etcd shows %d metrics; %d of them are not here", len(there), len(absent))
}

// untilQuota waits until the leader's quota is known: without one its metric is not shown.
func untilQuota(t *testing.T, members []string) {
	t.Helper()
	dial(t, members[0]) // it answers
	for deadline := time.Now().Add(time.Minute); scrape(t, members[0])["etcd_server_quota_backend_bytes"] == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no quota")
		}
	}
}

// etcds tells whether a name is among those that etcd's rules and panels look at.
func etcds(name string) bool {
	return strings.HasPrefix(name, "etcd_") || strings.HasPrefix(name, "grpc_server_")
}

// startEtcds is a cluster of etcd.
func startEtcds(t *testing.T, size int, more ...string) (clients []string) {
	t.Helper()
	var peers, seeds []string
	for i := range size {
		peers = append(peers, "http://127.0.0.1:"+freePort(t))
		seeds = append(seeds, fmt.Sprintf("n%d=%s", i, peers[i]))
	}
	for i, peer := range peers {
		clients = append(clients, startEtcd(t, append(more, fmt.Sprint("--name=n", i), "--listen-peer-urls="+peer,
			"--initial-advertise-peer-urls="+peer, "--initial-cluster="+strings.Join(seeds, ","))...))
	}
	return clients
}

// shapes are those of all metrics that any of the members shows after some traffic.
func shapes(t *testing.T, members []string) map[string]shape {
	t.Helper()
	all := make(map[string]shape)
	for _, address := range members {
		someTraffic(t, connect(t, address))
	}
	for _, address := range members {
		for name, family := range scrape(t, address) {
			all[name] = shapeOf(family)
		}
	}
	return all
}

// shapeOf takes the labels of all series together: none is there without its labels.
func shapeOf(family *dto.MetricFamily) shape {
	names := make(map[string]bool)
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			names[l.GetName()] = true
		}
	}
	return shape{family.GetType(), strings.Join(slices.Sorted(maps.Keys(names)), ",")}
}

// scrape reads a server's /metrics as Prometheus would.
func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r.Body)
	if err != nil {
		t.Fatalf("%s/metrics: %v", address, err)
	}
	return families
}

// someTraffic is a call of every kind that series are about.
func someTraffic(t *testing.T, c *clientv3.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	watching := c.Watch(ctx, "metrics/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watching // it is there
	lease, err := c.Grant(ctx, 60)
	must(lease, err)
	must(c.KeepAliveOnce(ctx, lease.ID))
	must(c.Put(ctx, "metrics/a", "1", clientv3.WithLease(lease.ID)))
	must(c.Get(ctx, "metrics/", clientv3.WithPrefix()))
	must(c.Get(ctx, "metrics/a", clientv3.WithSerializable()))
	must(c.Txn(ctx).If(clientv3.Compare(clientv3.Version("metrics/a"), ">", 0)).
		Then(clientv3.OpPut("metrics/b", "2")).Else(clientv3.OpGet("metrics/b")).Commit())
	must(c.Delete(ctx, "metrics/b"))
	must(c.Revoke(ctx, lease.ID))
	if told := <-watching; len(told.Events) == 0 {
		t.Fatal("the watcher was told nothing")
	}
	if _, err := c.Get(ctx, ""); !errors.Is(err, rpctypes.ErrEmptyKey) {
		t.Fatalf("a range of no key: %v", err)
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// absentNames are those of etcd's metrics that docs/etcd-compat.md says are not here.
func absentNames(t *testing.T) (names []string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/etcd-compat.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\nAnd these are not there:\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 { // a row
			for _, name := range quoted.FindAllStringSubmatch(cells[1], -1) {
				names = append(names, name[1])
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("docs/etcd-compat.md has no table of names that are not there")
	}
	return names
}
