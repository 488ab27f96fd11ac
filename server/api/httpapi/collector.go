package httpapi

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/server/watch"
	"github.com/quorate-db/quorate/timing"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// sample is what a node says about itself at one moment, so that the numbers of
// one scrape fit together.
type sample struct {
	quorate.Status
	log    wal.Status
	net    transport.Stats
	store  kv.State
	seen   Seen
	alarms []string // that stand
	turned uint64   // clients turned away by the doorkeeper
	vitals quorate.Vitals
}

// Seen is what a node has seen since it started.
type Seen struct {
	LeaderChanges   uint64           // times that it saw another leader than before
	FailedProposals uint64           // on behalf of clients: those whose outcome is unknown, too
	FailedReads     uint64           // linearizable ones that no majority let through in time
	SlowBatches     uint64           // commands that took longer than 100 ms to be applied, those that were applied together as one
	Commits         timing.Histogram // how long the store took to take them in
	DiskBytes       int64            // of the store
	Done            Done
	Watching        watch.Counts
	Leases          lease.Counts
}

// Done is what was done to keys and leases, as etcd counts it; see [kv.Tally].
type Done struct {
	Puts, Deletes, Ranges, Txns, PutBytes uint64
	Granted, Revoked                      uint64

	// TTLs are the leases granted, by the power of two that their TTL is not above, in
	// seconds, and at last those above all; TTLSeconds is what they sum up to.
	TTLs       [TTLClasses]uint64
	TTLSeconds uint64
}

// TTLClasses is how many classes of leases there are: up to a second, and so on to three
// months, and what is longer.
const TTLClasses = 25

// reading is one number of a sample.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*sample) float64
}

func gauge(name, help string, of func(*sample) float64) reading {
	return reading{prometheus.NewDesc("quorate_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*sample) float64) reading {
	return reading{prometheus.NewDesc("quorate_"+name, help, nil, nil), prometheus.CounterValue, of}
}

var readings = []reading{
	gauge("raft_term", "The current term.", func(s *sample) float64 { return float64(s.Term) }),
	gauge("raft_is_leader", "1 while this node leads.", func(s *sample) float64 { return truth(s.Role == raft.Leader) }),
	gauge("raft_has_leader", "1 while this node knows a leader.", func(s *sample) float64 { return truth(s.Leader != 0) }),
	gauge("raft_stopped", "1 once the group has stopped on this node.", func(s *sample) float64 { return truth(s.Err != nil) }),
	gauge("raft_members", "Members of the group, learners among them.", func(s *sample) float64 { return float64(len(s.Config.Members)) }),
	gauge("raft_commit_index", "The last index known to be committed.", func(s *sample) float64 { return float64(s.Commit) }),
	gauge("raft_applied_index", "The last index applied to the store.", func(s *sample) float64 { return float64(s.Applied) }),
	gauge("raft_durable_index", "The last index on this node's disk.", func(s *sample) float64 { return float64(s.Durable) }),
	gauge("raft_compacted_index", "The last index that only the snapshot covers.", func(s *sample) float64 { return float64(s.Base.Index) }),
	gauge("raft_log_bytes", "Bytes of log entries that are held in memory.", func(s *sample) float64 { return float64(s.vitals.LogBytes) }),
	gauge("raft_pending_bytes", "Bytes of commands that wait for a majority, or to be applied.", func(s *sample) float64 { return float64(s.vitals.Pending) }),
	counter("raft_leader_changes_total", "Times that this node has seen another leader than before.", func(s *sample) float64 { return float64(s.seen.LeaderChanges) }),

	counter("raft_failed_proposals_total", "Proposals on behalf of clients that failed here, or of which it is not known.", func(s *sample) float64 { return float64(s.seen.FailedProposals) }),
	counter("raft_failed_reads_total", "Linearizable reads on behalf of clients that failed here.", func(s *sample) float64 { return float64(s.seen.FailedReads) }),

	gauge("wal_segments", "Files of the log.", func(s *sample) float64 { return float64(s.log.Segments) }),
	gauge("wal_bytes", "Bytes in the files of the log.", func(s *sample) float64 { return float64(s.log.Bytes) }),
	gauge("wal_cut_bytes", "Bytes of a torn tail that were cut at the start.", func(s *sample) float64 { return float64(s.log.Cut) }),
	counter("wal_syncs_total", "Batches made durable since the start.", func(s *sample) float64 { return float64(s.log.Syncs) }),
	gauge("wal_spares", "Files kept for segments of the log to come.", func(s *sample) float64 { return float64(s.log.Spares) }),
	counter("wal_moved_bytes_total", "Bytes of the log written again, to free files that few entries held back.", func(s *sample) float64 { return float64(s.log.Moved) }),
	counter("wal_stalls_total", "Writes to the log that took longer than half of an election timeout.", func(s *sample) float64 { return float64(s.vitals.DiskStalls) }),
	gauge("disk_free_bytes", "Bytes left on the disk of the log, as the file system last said; 0 if it does not say.", func(s *sample) float64 { return float64(s.vitals.DiskFree) }),
	gauge("disk_full", "1 while this node refuses writes because its disk has too little room left.", func(s *sample) float64 { return truth(s.vitals.DiskFull) }),
	gauge("wal_last_sync_seconds", "Seconds that the disk took for the last batch.", func(s *sample) float64 { return s.log.LastSync.Seconds() }),

	counter("transport_slow_peers_total", "Looks, one in 20 heartbeats, at a peer whose round trip took longer than half of an election timeout.", func(s *sample) float64 { return float64(s.vitals.SlowPeers) }),
	counter("transport_forgetful_peers_total", "Peers turned away since they had lost their data directory, or ran on an old copy of it.", func(s *sample) float64 { return float64(s.vitals.PeersRefused) }),
	counter("transport_refused_total", "Connections of peers turned away.", func(s *sample) float64 { return float64(s.net.Refused) }),
	counter("transport_violations_total", "Connections of peers closed because of what came over them.", func(s *sample) float64 { return float64(s.net.Violations) }),
	counter("transport_insecure_total", "Connections with peers that failed for want of good certificates.", func(s *sample) float64 { return float64(s.net.Insecure) }),
	counter("http_insecure_total", "Clients turned away for want of good certificates.", func(s *sample) float64 { return float64(s.turned) }),
	counter("transport_unaddressed_total", "Messages dropped because their receiver is unknown.", func(s *sample) float64 { return float64(s.net.Unaddressed) }),

	gauge("kv_revision", "The store's revision.", func(s *sample) float64 { return float64(s.store.Revision) }),
	gauge("kv_compacted_revision", "Reads below this revision are refused.", func(s *sample) float64 { return float64(s.store.Compacted) }),
	gauge("kv_bytes", "Bytes of keys, values and their history, as the quota counts them.", func(s *sample) float64 { return float64(s.store.Bytes) }),
	gauge("kv_quota_bytes", "How many of them there may be; 0: any number.", func(s *sample) float64 { return float64(s.store.Quota) }),
	gauge("kv_quota_low", "1 while more than 80 % of the quota are taken.", func(s *sample) float64 { return truth(s.store.Low()) }),
	gauge("kv_disk_bytes", "Bytes of the store on this node's disk.", func(s *sample) float64 { return float64(s.seen.DiskBytes) }),
	gauge("kv_alarm_no_space", "1 while nothing is taken that makes the store grow.", func(s *sample) float64 { return truth(slices.Contains(s.alarms, "NOSPACE")) }),
	gauge("kv_alarm_corrupt", "1 while nothing is taken because somebody has said that a member is corrupt.", func(s *sample) float64 { return truth(slices.Contains(s.alarms, "CORRUPT")) }),
	gauge("kv_sessions", "Open sessions.", func(s *sample) float64 { return float64(s.store.Sessions) }),
	counter("kv_slow_batches_total", "Commands that took longer than 100 ms to be applied; those that were applied together count as one.", func(s *sample) float64 { return float64(s.seen.SlowBatches) }),

	gauge("watch_streams", "Streams of watchers, of all clients.", func(s *sample) float64 { return float64(s.seen.Watching.Streams) }),
	gauge("watch_watchers", "Watchers on them.", func(s *sample) float64 { return float64(s.seen.Watching.Watchers) }),
	gauge("watch_behind", "Those that are read the history, since they began in the past or did not keep up.", func(s *sample) float64 { return float64(s.seen.Watching.Behind) }),
}

// link is one number about the connection to a peer.
type link struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(transport.PeerStats) float64
}

func newLink(name, help string, kind prometheus.ValueType, of func(transport.PeerStats) float64) link {
	return link{prometheus.NewDesc("quorate_transport_peer_"+name, help, []string{"peer"}, nil), kind, of}
}

var links = []link{
	newLink("connected", "1 while there is a connection to the peer.", prometheus.GaugeValue,
		func(p transport.PeerStats) float64 { return truth(p.State == transport.Connected) }),
	newLink("round_trip_seconds", "Seconds of the last ping, queues included.", prometheus.GaugeValue,
		func(p transport.PeerStats) float64 { return p.RoundTrip.Seconds() }),
	newLink("sent_bytes_total", "Bytes sent to the peer.", prometheus.CounterValue,
		func(p transport.PeerStats) float64 { return float64(p.Sent) }),
	newLink("received_bytes_total", "Bytes received from the peer.", prometheus.CounterValue,
		func(p transport.PeerStats) float64 { return float64(p.Received) }),
	newLink("dropped_total", "Messages to the peer dropped: no room, or no connection.", prometheus.CounterValue,
		func(p transport.PeerStats) float64 { return float64(p.Dropped) }),
}

var followerMatch = prometheus.NewDesc("quorate_raft_follower_match_index",
	"The last index known to be on a follower's disk; only from the leader.", []string{"follower"}, nil)

var (
	followerLag = prometheus.NewDesc("quorate_raft_follower_lag_entries",
		"Entries that a follower is not known to have on its disk, and why it may lack them: silent, snapshot, probe, paused, or nothing; only from the leader.",
		[]string{"follower", "why"}, nil)
	walSync  = prometheus.NewDesc("quorate_wal_sync_mode", "Always 1; the label says how the log is made durable.", []string{"mode"}, nil)
	walTrial = prometheus.NewDesc("quorate_wal_sync_trial_seconds",
		"Seconds that 4 KiB written and made durable took in each sync mode at the start, the median; 0: not measured.", []string{"mode"}, nil)

	proposalSeconds = prometheus.NewDesc("quorate_raft_proposal_seconds",
		"Seconds from a proposal on the leader until the core took it (queued), it was on this disk (durable), on those of a majority (committed), and applied; of those that were timed, one at a time.",
		[]string{"stage"}, nil)
	commitSeconds = prometheus.NewDesc("quorate_kv_commit_seconds",
		"Seconds that the store took to take in commands that were applied together. It is not synced: they are in the log.", nil, nil)
)

// histogramOf turns a histogram of the library into one of Prometheus.
func histogramOf(desc *prometheus.Desc, h *timing.Histogram, labels ...string) prometheus.Metric {
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range h.Counts {
		if total += n; i < len(h.Counts)-1 {
			buckets[float64(uint64(1)<<i)/1e6] = total
		}
	}
	return prometheus.MustNewConstHistogram(desc, total, h.Sum.Seconds(), buckets, labels...)
}

// collector takes one sample for each scrape.
type collector struct{ Options }

// Describe names the numbers.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, r := range readings {
		out <- r.desc
	}
	for _, l := range links {
		out <- l.desc
	}
	for _, desc := range []*prometheus.Desc{followerMatch, followerLag, walSync, walTrial, proposalSeconds, commitSeconds} {
		out <- desc
	}
}

// sample reads the numbers.
func (c collector) sample() sample {
	s := sample{Status: c.Cluster.Status(), seen: c.Seen(), turned: c.Doorkeeper.Failed()}
	s.log, s.net = c.Host.Stats()
	s.vitals = c.Host.Vitals()
	var err, unread error
	s.store, err = c.Machine.State()
	if s.alarms, unread = c.alarms(); err != nil || unread != nil {
		c.Logger.Warn("the metrics of the store cannot be read", "error", cmp.Or(err, unread))
	}
	return s
}

// Collect shows the numbers.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.sample()
	for _, r := range readings {
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.of(&s))
	}
	for _, p := range s.net.Peers {
		for _, l := range links {
			out <- prometheus.MustNewConstMetric(l.desc, l.kind, l.of(p), wire.ID(p.ID).String())
		}
	}
	for _, p := range s.Peers {
		id := wire.ID(p.ID).String()
		out <- prometheus.MustNewConstMetric(followerMatch, prometheus.GaugeValue, float64(p.Match), id)
		out <- prometheus.MustNewConstMetric(followerLag, prometheus.GaugeValue, float64(s.Last.Index-min(p.Match, s.Last.Index)), id, p.Why())
	}
	out <- prometheus.MustNewConstMetric(walSync, prometheus.GaugeValue, 1, string(s.log.SyncMode))
	out <- prometheus.MustNewConstMetric(walTrial, prometheus.GaugeValue, s.vitals.SyncTrial.Fdatasync.Seconds(), string(vfs.Fdatasync))
	out <- prometheus.MustNewConstMetric(walTrial, prometheus.GaugeValue, s.vitals.SyncTrial.DSync.Seconds(), string(vfs.DSync))
	out <- histogramOf(proposalSeconds, &s.vitals.Queued, "queued")
	out <- histogramOf(proposalSeconds, &s.vitals.Durable, "durable")
	out <- histogramOf(proposalSeconds, &s.vitals.Committed, "committed")
	out <- histogramOf(proposalSeconds, &s.vitals.Applied, "applied")
	out <- histogramOf(commitSeconds, &s.seen.Commits)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
