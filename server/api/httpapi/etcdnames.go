package httpapi

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/transport"
)

// etcdNames are the numbers under the names that etcd gives them, for the rules and
// panels that exist, as far as there is something behind them that means the same.
// docs/etcd-compat.md says what is missing, and where a little else is meant.
var etcdNames = []reading{
	etcdGauge("server_has_leader", func(s *sample) float64 { return truth(s.Leader != 0) }),
	etcdGauge("server_is_leader", func(s *sample) float64 { return truth(s.Role == raft.Leader) }),
	etcdGauge("server_is_learner", func(s *sample) float64 { return truth(isLearner(s.Status)) }),
	etcdCounter("server_leader_changes_seen_total", func(s *sample) float64 { return float64(s.seen.LeaderChanges) }),
	etcdGauge("server_proposals_committed_total", func(s *sample) float64 { return float64(s.Commit) }),
	etcdGauge("server_proposals_applied_total", func(s *sample) float64 { return float64(s.Applied) }),
	etcdGauge("server_proposals_pending", func(s *sample) float64 { return float64(s.Last.Index - min(s.Commit, s.Last.Index)) }),
	etcdCounter("server_proposals_failed_total", func(s *sample) float64 { return float64(s.seen.FailedProposals) }),
	etcdCounter("server_read_indexes_failed_total", func(s *sample) float64 { return float64(s.seen.FailedReads) }),
	etcdCounter("server_slow_apply_total", func(s *sample) float64 { return float64(s.seen.SlowBatches) }),
	etcdGauge("mvcc_db_total_size_in_bytes", func(s *sample) float64 { return float64(s.store.Bytes) }),
	etcdGauge("mvcc_db_total_size_in_use_in_bytes", func(s *sample) float64 { return float64(s.store.Bytes) }),
	etcdGauge("debugging_mvcc_current_revision", func(s *sample) float64 { return float64(s.store.Revision) }),
	etcdGauge("debugging_mvcc_compact_revision", func(s *sample) float64 { return float64(s.store.Compacted) }),
	etcdGauge("debugging_mvcc_watch_stream_total", func(s *sample) float64 { return float64(s.seen.Watching.Streams) }),
	etcdGauge("debugging_mvcc_watcher_total", func(s *sample) float64 { return float64(s.seen.Watching.Watchers) }),
	etcdGauge("debugging_mvcc_slow_watcher_total", func(s *sample) float64 { return float64(s.seen.Watching.Behind) }),
	etcdGauge("debugging_mvcc_pending_events_total", func(s *sample) float64 { return float64(s.seen.Watching.Pending) }),
	etcdCounter("debugging_mvcc_events_total", func(s *sample) float64 { return float64(s.seen.Watching.Events) }),
	etcdCounter("mvcc_put_total", func(s *sample) float64 { return float64(s.seen.Done.Puts) }),
	etcdCounter("mvcc_delete_total", func(s *sample) float64 { return float64(s.seen.Done.Deletes) }),
	etcdCounter("mvcc_range_total", func(s *sample) float64 { return float64(s.seen.Done.Ranges + s.seen.Watching.Lookups) }),
	etcdCounter("mvcc_txn_total", func(s *sample) float64 { return float64(s.seen.Done.Txns) }),
	etcdGauge("debugging_mvcc_total_put_size_in_bytes", func(s *sample) float64 { return float64(s.seen.Done.PutBytes) }),
	etcdCounter("debugging_lease_granted_total", func(s *sample) float64 { return float64(s.seen.Done.Granted) }),
	etcdCounter("debugging_lease_revoked_total", func(s *sample) float64 { return float64(s.seen.Done.Revoked) }),
	etcdCounter("debugging_lease_renewed_total", func(s *sample) float64 { return float64(s.seen.Leases.Renewed) }),
	etcdCounter("debugging_server_lease_expired_total", func(s *sample) float64 { return float64(s.seen.Leases.Expired) }),
	etcdGauge("debugging_auth_revision", func(s *sample) float64 { return float64(s.store.Rights) }),
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

// etcdAnswers counts what only etcd's names tell apart.
func etcdAnswers(name string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "etcd_server_" + name, Help: "As etcd's of this name; see docs/etcd-compat.md."})
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
	etcdTrips    = etcdDesc("network_peer_round_trip_time_seconds", "To")
	etcdActive   = etcdDesc("network_active_peers", "Local", "Remote")
	etcdKnown    = etcdDesc("network_known_peers", "Local", "Remote")
	etcdCommits  = etcdDesc("disk_backend_commit_duration_seconds")
	etcdGo       = etcdDesc("server_go_version", "server_go_version")
	etcdTTLs     = etcdDesc("debugging_lease_ttl_total")
)

// etcdOthers are those that are not single numbers of a sample.
var etcdOthers = []*prometheus.Desc{
	etcdQuota, etcdID, etcdVersion, etcdCluster, etcdSync, etcdSent, etcdReceived, etcdDropped, etcdTrips, etcdActive, etcdKnown, etcdCommits, etcdGo, etcdTTLs,
}

// etcdCollector shows a node under etcd's names.
type etcdCollector struct{ collector }

// Describe names the numbers.
func (c etcdCollector) Describe(out chan<- *prometheus.Desc) {
	for _, r := range etcdNames {
		out <- r.desc
	}
	for _, desc := range etcdOthers {
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
	self := wire.ID(s.ID).String()
	show(etcdID, prometheus.GaugeValue, 1, self)
	show(etcdVersion, prometheus.GaugeValue, 1, wire.EtcdVersion)
	show(etcdCluster, prometheus.GaugeValue, 1, wire.EtcdMinor)
	show(etcdGo, prometheus.GaugeValue, 1, runtime.Version())
	out <- histogramOf(etcdSync, &s.vitals.Durable)
	out <- histogramOf(etcdCommits, &s.seen.Commits)
	out <- ttls(&s.seen.Done)
	for _, m := range s.Config.Members {
		show(etcdKnown, prometheus.GaugeValue, 1, self, wire.ID(m.ID).String())
	}
	for _, p := range s.net.Peers {
		id := wire.ID(p.ID).String()
		show(etcdSent, prometheus.CounterValue, float64(p.Sent), id)
		show(etcdReceived, prometheus.CounterValue, float64(p.Received), id)
		show(etcdDropped, prometheus.CounterValue, float64(p.Dropped), id)
		show(etcdActive, prometheus.GaugeValue, truth(p.State == transport.Connected), self, id)
		out <- histogramOf(etcdTrips, &p.RoundTrips, id)
	}
}

// ttls is how long the leases were granted for, in seconds, in etcd's buckets.
func ttls(t *Done) prometheus.Metric {
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range t.TTLs {
		if total += n; i < len(t.TTLs)-1 {
			buckets[float64(uint64(1)<<i)] = total
		}
	}
	return prometheus.MustNewConstHistogram(etcdTTLs, total, float64(t.TTLSeconds), buckets)
}
