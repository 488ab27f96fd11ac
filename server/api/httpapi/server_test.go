package httpapi

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/progress"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/auth"
)

// Without a leader requests end in time, status answers, and no write is called
// not done that may have been.
func TestNoAnswerFromTheCluster(t *testing.T) {
	n, web := serve(t, testLimits)
	n.set(func(n *oneNode) { n.block, n.status.Leader = true, 0 })
	do(t, web, "PUT", "/v1/kv/k?timeout=5ms", "v").problem(t, wire.OutcomeUnknown)
	do(t, web, "GET", "/v1/kv/k?timeout=5ms", "").problem(t, wire.Timeout)
	do(t, web, "GET", "/v1/kv?timeout=5ms", "").problem(t, wire.Timeout)
	do(t, web, "POST", "/v1/members?timeout=5ms", `{"name":"d","peer_url":"http://h:1"}`).problem(t, wire.Timeout)
	do(t, web, "GET", "/v1/kv/k?consistency=stale", "").problem(t, wire.NotFound)
	do(t, web, "GET", "/health?timeout=5ms", "").want(t, 503)
	if got := decode[wire.Status](t, do(t, web, "GET", "/v1/status", "").want(t, 200)); got.Leader != 0 || got.Term != 3 {
		t.Errorf("status without a leader: %+v", got)
	}
	n.set(func(n *oneNode) { n.block, n.fail = false, quorate.ErrNoLeader })
	do(t, web, "PUT", "/v1/kv/k", "v").problem(t, wire.NoLeader)
	do(t, web, "GET", "/v1/kv/k", "").problem(t, wire.NoLeader)
}

func TestTooManyRequests(t *testing.T) {
	limits := testLimits
	limits.Requests, limits.RequestTimeout = 1, 50*time.Millisecond
	n, _ := serve(t, limits)
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(New(Options{Log: n, Cluster: waiting{n, arrived, release}, Machine: n.machine, Limits: limits,
		Keeper: auth.New(auth.Options{Machine: n.machine}), Ready: func() error { return nil }}))
	defer slow.Close()
	first := make(chan int)
	go func() {
		resp, err := slow.Client().Post(slow.URL+"/v1/leader/transfer", "application/json", strings.NewReader(`{"to":"1"}`))
		if err != nil {
			first <- 0
			return
		}
		resp.Body.Close()
		first <- resp.StatusCode
	}()
	<-arrived
	do(t, slow, "PUT", "/v1/kv/k", "v").problem(t, wire.Busy)
	do(t, slow, "GET", "/v1/status?hash=true", "").problem(t, wire.Busy)
	do(t, slow, "PUT", "/v1/kv/k?timeout=never", "v").problem(t, wire.Malformed)
	// Who asks for life, or for what is the matter, is always answered.
	for _, path := range []string{"/readyz/linearizable_read", "/v1/status", "/v1/members"} {
		do(t, slow, "GET", path, "").want(t, 200)
	}
	close(release)
	// One that may wait gets the place of the first.
	do(t, slow, "PUT", "/v1/kv/k?timeout=1m", "v").want(t, 200)
	if status := <-first; status != 200 {
		t.Errorf("the request in progress was answered %d", status)
	}
}

// waiting is a cluster that hands over once it is released.
type waiting struct {
	*oneNode
	arrived, release chan struct{}
}

func (w waiting) Transfer(ctx context.Context, to quorate.NodeID) error {
	w.arrived <- struct{}{}
	<-w.release
	return w.oneNode.Transfer(ctx, to)
}

func TestMembers(t *testing.T) {
	n, web := serve(t, testLimits)
	added := decode[wire.Member](t, do(t, web, "POST", "/v1/members", `{"name":"b","peer_url":"http://10.0.0.2:2380"}`).want(t, 201))
	if added.ID == 0 || added.Role != "learner" {
		t.Fatalf("added %+v", added)
	}
	path := "/v1/members/" + added.ID.String()
	do(t, web, "POST", "/v1/members", `{"name":"b","peer_url":"http://10.0.0.3:2380"}`).problem(t, wire.NameUsed)
	do(t, web, "POST", "/v1/members", `{"name":"c","peer_url":"http://10.0.0.2:2380"}`).problem(t, wire.AddressUsed)
	do(t, web, "POST", "/v1/members", `{"id":"`+added.ID.String()+`","name":"b","peer_url":"http://10.0.0.2:2380"}`).problem(t, wire.MemberExists)
	do(t, web, "PUT", path, `{"name":"b","peer_url":"http://10.0.0.9:2380","client_urls":["http://10.0.0.9:2379"]}`).want(t, 200)
	do(t, web, "POST", path+"/promote", "").want(t, 204)
	do(t, web, "POST", path+"/promote", "").problem(t, wire.NotLearner)

	all := decode[wire.Members](t, do(t, web, "GET", "/v1/members", "").want(t, 200))
	if all.ClusterID != 0xc || len(all.Members) != 2 || !all.Members[0].Leader {
		t.Fatalf("members %+v", all)
	}
	if b := all.Members[1]; b.Name != "b" || b.Role != "voter" || b.PeerURL != "http://10.0.0.9:2380" || len(b.ClientURLs) != 1 {
		t.Errorf("member %+v", b)
	}
	wished := decode[wire.Member](t, do(t, web, "POST", "/v1/members", `{"name":"l","peer_url":"http://10.0.0.4:2380","learner":true}`).want(t, 201))
	do(t, web, "PUT", "/v1/members/"+wished.ID.String(), `{"name":"l","peer_url":"http://10.0.0.5:2380"}`).want(t, 200)
	do(t, web, "POST", "/v1/members", `{"name":"m","peer_url":"http://10.0.0.6:2380","learner":true}`).problem(t, wire.TooManyLearners)
	do(t, web, "POST", "/v1/members", `{"name":"m","peer_url":"http://10.0.0.6:2380"}`).want(t, 201)
	n.set(func(n *oneNode) { n.fail = raft.ErrNotCaughtUp })
	do(t, web, "POST", path+"/promote", "").problem(t, wire.NotCaughtUp)
	n.set(func(n *oneNode) { n.fail = nil })
	do(t, web, "DELETE", path, "").want(t, 204)
	do(t, web, "DELETE", path, "").problem(t, wire.MemberUnknown)
	do(t, web, "DELETE", "/v1/members/1", "").problem(t, wire.LastVoter)
	do(t, web, "POST", "/v1/leader/transfer", `{"to":"77"}`).problem(t, wire.TransferFailed)
}

// A leader that is to go hands over first.
func TestRemovedLeaderHandsOver(t *testing.T) {
	n, web := serve(t, testLimits)
	n.set(func(n *oneNode) {
		n.status.Config = membership.New(n.status.Config.Members[0], quorate.Member{ID: 2, Role: membership.Voter, Address: "h:2"})
	})
	n.set(func(n *oneNode) { n.fail = quorate.ErrNotTakenOver })
	do(t, web, "DELETE", "/v1/members/1", "").problem(t, wire.TransferFailed)
	if _, still := n.Status().Config.Find(1); !still {
		t.Fatal("the leader was removed although nobody took over")
	}
	n.set(func(n *oneNode) { n.fail = nil })
	do(t, web, "DELETE", "/v1/members/1", "").want(t, 204)
	if status := n.Status(); len(status.Config.Members) != 1 || status.Leader != 2 {
		t.Errorf("after the removal: %+v", status)
	}
}

func TestStatusAndMetrics(t *testing.T) {
	n, web := serve(t, testLimits)
	do(t, web, "PUT", "/v1/kv/k", "v").want(t, 200)
	n.set(func(n *oneNode) {
		n.status.Last.Index = 7
		n.status.Peers = []raft.PeerStatus{{ID: 5, State: progress.Replicate, Match: 6, Next: 9, InFlight: 2, Paused: true, Active: true}}
	})
	got := decode[wire.Status](t, do(t, web, "GET", "/v1/status?hash=true", "").want(t, 200))
	if got.Name != "a" || got.Role != "leader" || got.Log.Commit != 7 || len(got.Followers) != 1 || got.Followers[0].State != "replicate" {
		t.Errorf("status %+v", got)
	}
	if got.Hash == nil || len(got.Hash.Hash) != 16 || got.Hash.Applied != 1 || got.Hash.Revision != 2 {
		t.Errorf("hash %+v", got.Hash)
	}
	do(t, web, "GET", "/health", "").want(t, 200)
	text := do(t, web, "GET", "/metrics", "").want(t, 200).body
	for _, want := range []string{
		`quorate_http_requests_total{method="PUT",route="/v1/kv/{key}",status="200"} 1`,
		"quorate_raft_term 3", "quorate_raft_is_leader 1",
		`quorate_raft_follower_match_index{follower="0000000000000005"} 6`,
		`quorate_raft_follower_lag_entries{follower="0000000000000005",why="paused"} 1`,
		"quorate_raft_log_bytes 55", "quorate_raft_pending_bytes 56", "quorate_wal_spares 2", "quorate_wal_moved_bytes_total 77", "quorate_wal_stalls_total 3", "quorate_disk_free_bytes 99", "quorate_disk_full 1", "quorate_transport_slow_peers_total 8", "quorate_transport_forgetful_peers_total 2",
		`quorate_wal_sync_mode{mode="fdatasync"} 1`, `quorate_wal_sync_trial_seconds{mode="fdatasync"} 0.002`, `quorate_wal_sync_trial_seconds{mode="O_DSYNC"} 0.001`,
		`quorate_raft_proposal_seconds_bucket{stage="committed",le="0.001024"} 0`, `quorate_raft_proposal_seconds_bucket{stage="committed",le="0.002048"} 4`,
		`quorate_raft_proposal_seconds_count{stage="committed"} 5`, `quorate_raft_proposal_seconds_sum{stage="committed"} 20`,
		"quorate_raft_leader_changes_total 2", "quorate_wal_segments 4", "quorate_wal_last_sync_seconds 0.005", "quorate_kv_revision 2",
		`quorate_transport_peer_round_trip_seconds{peer="0000000000000005"} 0.001`,
		`quorate_transport_peer_dropped_total{peer="0000000000000005"} 6`,
		`quorate_build_info{name="a",version="v0"} 1`, "go_goroutines",
		"quorate_raft_failed_proposals_total 3", "quorate_raft_failed_reads_total 4", "quorate_kv_slow_batches_total 5",
		"quorate_watch_streams 6", "quorate_watch_watchers 7", "quorate_watch_behind 1",
		`quorate_kv_commit_seconds_bucket{le="0.002048"} 0`, `quorate_kv_commit_seconds_bucket{le="0.004096"} 1`,

		"etcd_server_proposals_failed_total 3", "etcd_server_read_indexes_failed_total 4", "etcd_server_slow_apply_total 5",
		"etcd_server_health_success 1", "etcd_server_health_failures 0", "etcd_disk_backend_commit_duration_seconds_count 1",
		`etcd_network_peer_round_trip_time_seconds_bucket{To="0000000000000005",le="0.001024"} 1`,
		`etcd_network_peer_round_trip_time_seconds_count{To="0000000000000005"} 2`,
		`etcd_network_active_peers{Local="0000000000000001",Remote="0000000000000005"} 1`,
		`etcd_network_known_peers{Local="0000000000000001",Remote="0000000000000001"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in the metrics", want)
		}
	}
}
