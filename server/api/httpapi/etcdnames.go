package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/wire"
)

// etcdNames are the numbers under the names that etcd gives them, for the rules and
// panels that exist, as far as there is something behind them that means the same.
// docs/etcd-compat.md says what is missing, and where a little else is meant.
var etcdNames = []reading{
	etcdGauge("server_has_leader", func(s *sample) float64 { return truth(s.Leader != 0) }),
	etcdGauge("server_is_leader", func(s *sample) float64 { return truth(s.Role == raft.Leader) }),
	etcdGauge("server_is_learner", func(s *sample) float64 { return truth(isLearner(s.Status)) }),
	etcdCounter("server_leader_changes_seen_total", func(s *sample) float64 { return float64(s.leaders) }),
	etcdGauge("server_proposals_committed_total", func(s *sample) float64 { return float64(s.Commit) }),
	etcdGauge("server_proposals_applied_total", func(s *sample) float64 { return float64(s.Applied) }),
	etcdGauge("server_proposals_pending", func(s *sample) float64 { return float64(s.Last.Index - min(s.Commit, s.Last.Index)) }),
	etcdGauge("mvcc_db_total_size_in_bytes", func(s *sample) float64 { return float64(s.store.Bytes) }),
	etcdGauge("mvcc_db_total_size_in_use_in_bytes", func(s *sample) float64 { return float64(s.store.Bytes) }),
	etcdGauge("debugging_mvcc_current_revision", func(s *sample) float64 { return float64(s.store.Revision) }),
	etcdGauge("debugging_mvcc_compact_revision", func(s *sample) float64 { return float64(s.store.Compacted) }),
}

func etcdDesc(name string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("etcd_"+name, "As etcd's of this name; see docs/etcd-compat.md.", labels, nil)
}

func etcdGauge(name string, of func(*sample) float64) reading {
	return reading{etcdDesc(name), prometheus.GaugeValue, of}
}

func etcdCounter(name string, of func(*sample) float64) reading {
	return reading{etcdDesc(name), prometheus.CounterValue, of}
}

var (
	etcdQuota    = etcdDesc("server_quota_backend_bytes")
	etcdID       = etcdDesc("server_id", "server_id")
	etcdVersion  = etcdDesc("server_version", "server_version")
	etcdCluster  = etcdDesc("cluster_version", "cluster_version")
	etcdSync     = etcdDesc("disk_wal_fsync_duration_seconds")
	etcdSent     = etcdDesc("network_peer_sent_bytes_total", "To")
	etcdReceived = etcdDesc("network_peer_received_bytes_total", "From")
	etcdDropped  = etcdDesc("network_peer_sent_failures_total", "To")
)

// etcdCollector shows a node under etcd's names.
type etcdCollector struct{ collector }

// Describe names the numbers.
func (c etcdCollector) Describe(out chan<- *prometheus.Desc) {
	for _, r := range etcdNames {
		out <- r.desc
	}
	for _, desc := range []*prometheus.Desc{etcdQuota, etcdID, etcdVersion, etcdCluster, etcdSync, etcdSent, etcdReceived, etcdDropped} {
		out <- desc
	}
}

// Collect reads the numbers.
func (c etcdCollector) Collect(out chan<- prometheus.Metric) {
	s := c.sample()
	show := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	for _, r := range etcdNames {
		show(r.desc, r.kind, r.of(&s))
	}
	if s.store.Quota > 0 { // of none, a rule that divides by it would make an alert
		show(etcdQuota, prometheus.GaugeValue, float64(s.store.Quota))
	}
	show(etcdID, prometheus.GaugeValue, 1, wire.ID(s.ID).String())
	show(etcdVersion, prometheus.GaugeValue, 1, wire.EtcdVersion)
	show(etcdCluster, prometheus.GaugeValue, 1, wire.EtcdMinor)
	out <- histogramOf(etcdSync, &s.vitals.Durable)
	for _, p := range s.net.Peers {
		id := wire.ID(p.ID).String()
		show(etcdSent, prometheus.CounterValue, float64(p.Sent), id)
		show(etcdReceived, prometheus.CounterValue, float64(p.Received), id)
		show(etcdDropped, prometheus.CounterValue, float64(p.Dropped), id)
	}
}
