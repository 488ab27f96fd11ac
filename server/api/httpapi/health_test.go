package httpapi

import (
	"strings"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// What probes are told, in etcd's words.
func TestProbes(t *testing.T) {
	n, web := serve(t, testLimits)
	ask := func(path string, status int, body string) {
		t.Helper()
		if got := do(t, web, "GET", path, "").want(t, status); got.body != body || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %q as %s, want %q", path, got.body, got.header.Get("Content-Type"), body)
		}
	}
	all := "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"
	ask("/livez", 200, "ok\n")
	ask("/livez?verbose", 200, "[+]serializable_read ok\nok\n")
	ask("/readyz", 200, "ok\n")
	ask("/readyz?verbose=1&somewhat=new", 200, all)
	ask("/readyz/non_learner", 200, "ok\n")
	ask("/health", 200, `{"health":"true","reason":""}`)
	ask("/health?exclude=NOSPACE&serializable=true", 200, `{"health":"true","reason":""}`)
	do(t, web, "POST", "/readyz", "").problem(t, wire.MethodNotAllowed)
	do(t, web, "GET", "/readyz/nothing", "").problem(t, wire.UnknownPath)
	do(t, web, "GET", "/livez?timeout=soon", "").problem(t, wire.Malformed)
	do(t, web, "GET", "/health?timeout=soon", "").problem(t, wire.Malformed)

	// Nobody leads: this node lives, but clients should go elsewhere.
	n.set(func(n *oneNode) { n.status.Leader, n.fail = 0, quorate.ErrNoLeader })
	failed := "[-]linearizable_read failed: " + quorate.ErrNoLeader.Error() + "\n"
	ask("/livez", 200, "ok\n")
	ask("/readyz/linearizable_read", 503, failed+"\n")
	ask("/readyz?exclude=linearizable_read&exclude=non_learner&verbose", 200, "[+]data_corruption ok\n[+]serializable_read ok\nok\n")
	ask("/readyz", 503, "[+]data_corruption ok\n[+]serializable_read ok\n"+failed+"[+]non_learner ok\n\n")
	ask("/health", 503, `{"health":"false","reason":"RAFT NO LEADER"}`+"\n")
	ask("/health?serializable=true", 200, `{"health":"true","reason":""}`)
	n.set(func(n *oneNode) { n.status.Leader = 1 })
	ask("/health", 503, `{"health":"false","reason":"RANGE ERROR:`+quorate.ErrNoLeader.Error()+`"}`+"\n")

	// The group has stopped: restarting the process could help.
	n.set(func(n *oneNode) { n.fail, n.status.Err = nil, errDisk })
	ask("/livez", 503, "[-]serializable_read failed: "+errDisk.Error()+"\n\n")
	ask("/readyz/data_corruption", 503, "[-]data_corruption failed: "+errDisk.Error()+"\n\n")
	ask("/health?serializable=true", 503, `{"health":"false","reason":"RANGE ERROR:`+errDisk.Error()+`"}`+"\n")
}

// An alarm is a reason to look, unless who asks has said that it knows.
func TestAlarmsAreUnhealthy(t *testing.T) {
	n, web := serve(t, testLimits)
	for _, do := range []kv.Action{
		kv.SetQuota{Bytes: 1},
		kv.Txn{Then: []kv.Op{kv.Put{Key: []byte("a")}}},
		kv.SetAlarm{Alarm: kv.Alarm{Member: 9, Kind: kv.Corrupt}, On: true},
	} {
		if _, err := n.Propose(t.Context(), kv.Command{Do: do}.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/health": `{"health":"false","reason":"ALARM CORRUPT"}` + "\n",
		"/health?exclude=CORRUPT&serializable=true": `{"health":"false","reason":"ALARM NOSPACE"}` + "\n",
		"/readyz/data_corruption":                   "[-]data_corruption failed: alarm activated: CORRUPT\n\n",
	} {
		if got := do(t, web, "GET", path, "").want(t, 503); got.body != want {
			t.Errorf("%s: %q, want %q", path, got.body, want)
		}
	}
	do(t, web, "GET", "/health?exclude=CORRUPT&exclude=NOSPACE", "").want(t, 200)
	do(t, web, "GET", "/livez", "").want(t, 200)
	do(t, web, "PUT", "/v1/kv/a", "1").problem(t, wire.Corrupt)
	if _, err := n.Propose(t.Context(), kv.Command{Do: kv.SetAlarm{Alarm: kv.Alarm{Member: 9, Kind: kv.Corrupt}}}.Encode()); err != nil {
		t.Fatal(err)
	}
	do(t, web, "PUT", "/v1/kv/a", "1").problem(t, wire.NoSpace)
	do(t, web, "DELETE", "/v1/kv/a", "").want(t, 200)
	text := do(t, web, "GET", "/metrics", "").want(t, 200).body
	for _, line := range []string{"quorate_kv_quota_bytes 1\n", "quorate_kv_quota_low 1\n", "quorate_kv_alarm_no_space 1\n", "quorate_kv_alarm_corrupt 0\n", "quorate_kv_disk_bytes 4096\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("/metrics lacks %q", line)
		}
	}
}

// A learner is alive, and no place for clients.
func TestLearnerIsNotReady(t *testing.T) {
	n, web := serve(t, testLimits)
	n.set(func(n *oneNode) {
		n.status.ID = 2
		next, err := n.status.Config.Apply(membership.Change{Kind: membership.Add, Member: quorate.Member{ID: 2, Role: membership.Learner, Address: "a:1"}})
		if err != nil {
			t.Error(err)
		}
		n.status.Config = next
	})
	do(t, web, "GET", "/livez", "").want(t, 200)
	do(t, web, "GET", "/readyz", "").want(t, 503)
	do(t, web, "GET", "/readyz?exclude=non_learner", "").want(t, 200)
}

func TestVersion(t *testing.T) {
	_, web := serve(t, testLimits)
	v := decode[wire.Version](t, do(t, web, "GET", "/version", "").want(t, 200))
	if v.EtcdServer != "3.7.3" || v.EtcdCluster != "3.7.0" || v.Storage != "3.7.0" || v.Version != "v0" {
		t.Errorf("%+v", v)
	}
}
