//go:build linux

package torture

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/workload"
)

// The load on one cluster.
const (
	clients  = 12
	sessions = 6   // of the clients
	keys     = 6   // at a time
	rate     = 300 // operations a second
	timeout  = 3 * time.Second
	turn     = 5 * time.Second // for which keys are used
)

// usual is how long the faults go on, unless TORTURE says it.
const usual = 45 * time.Second

// TestTorture lets clusters of 3 and of 5 nodes go through whatever real processes,
// networks and disks can suffer, half of the time each.
func TestTorture(t *testing.T) {
	lookAtSource(t)
	total, seed := plan(t)
	t.Logf("TORTURE=%v TORTURE_SEED=%d", total, seed)
	for _, size := range []int{3, 5} {
		if !t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) { torture(t, size, seed, total/2) }) {
			break // one failure at a time is enough to look at
		}
	}
}

// plan reads from the environment how long the faults go on, and the seed.
func plan(t *testing.T) (total time.Duration, seed uint64) {
	t.Helper()
	total, seed = usual, rand.Uint64()>>1+1
	if testing.Short() {
		total /= 5
	}
	var err error
	if text := os.Getenv("TORTURE"); text != "" {
		if total, err = time.ParseDuration(text); err != nil || total <= 0 || total > 24*time.Hour {
			t.Fatalf("TORTURE=%s: it is a time of at most 24h, such as 10m", text)
		}
	}
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TORTURE_SEED=%s: it is a number, as a run prints it", text)
		}
	}
	return total, seed
}

// trial is one cluster under torture.
type trial struct {
	t       *testing.T
	ctx     context.Context // ends early if a node ends by itself, or with an interrupt
	dir     string
	cluster *cluster
	load    *workload.Load
}

// torture is one run: faults and load, then calm, then judgement.
func torture(t *testing.T, size int, seed uint64, how time.Duration) {
	goals.begin()
	r, failed := begin(t, size)
	r.startLoad(seed, r.cluster.nodes, int(2*rate*how.Seconds()))
	counts := r.suffer(seed, how, failed)
	r.stopIfFailed()
	// Now nothing is wrong any more, so that everything must come to an end.
	reads, stop := context.WithTimeout(r.ctx, patience)
	defer stop()
	if unread := r.load.LastReads(reads); unread > 0 {
		t.Errorf("%d of the last reads had no answer within %v", unread, patience)
	}
	r.stopIfFailed()
	history := r.load.History()
	t.Logf("faults: %s", list(counts))
	t.Logf("operations: %s", list(tally(history)))
	t.Logf("certainly not done: %s", list(r.load.NotDone()))
	if n := r.cluster.network; n != nil {
		t.Logf("packets: %d passed, %d dropped", n.passed.Load(), n.dropped.Load())
	}
	goals.record(r.judge(history, r.cluster.nodes))
}

// begin starts a cluster in a directory of its own. Everything ends with the test;
// the directory stays if it fails, unless somebody interrupted it.
func begin(t *testing.T, size int) (r *trial, failed func(error)) {
	t.Helper()
	ctx, failed := context.WithCancelCause(interrupted)
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	dir, err := os.MkdirTemp("", "quorate-torture-")
	if err != nil {
		t.Fatal(err)
	}
	r = &trial{t: t, ctx: ctx, dir: dir}
	r.cluster, err = newCluster(dir, size, failed)
	t.Cleanup(r.end)
	if err == nil {
		err = r.cluster.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, failed
}

// end takes the cluster down.
func (r *trial) end() {
	for _, n := range r.cluster.nodes {
		n.kill()
	}
	keep := r.t.Failed() && interrupted.Err() == nil
	if keep {
		if err := r.cluster.keepDisk(); err != nil {
			r.t.Error(err)
		}
		r.t.Logf("logs, data and the diary of faults are kept in %s", r.dir)
	}
	if err := r.cluster.close(); err != nil {
		r.t.Error(err)
	}
	if !keep {
		if err := os.RemoveAll(r.dir); err != nil {
			r.t.Error(err)
		}
	}
}

// stopIfFailed ends the test if a node has ended by itself, or with Ctrl-C.
func (r *trial) stopIfFailed() {
	r.t.Helper()
	if r.ctx.Err() != nil {
		r.t.Fatal(context.Cause(r.ctx))
	}
}

func (r *trial) startLoad(seed uint64, nodes []*node, limit int) {
	r.t.Helper()
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, n.url)
	}
	l, err := workload.New(workload.Config{
		Clients: clients, Sessions: sessions, Keys: keys, Turn: turn, Rate: rate, Limit: limit,
		Timeout: timeout, Prefix: "torture/", Seed: seed, Endpoints: endpoints,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.load = l
	r.t.Cleanup(l.Close)
	r.awaitService(nodes)
}

// awaitService waits until every node answers a linearizable read.
func (r *trial) awaitService(nodes []*node) {
	r.t.Helper()
	for _, n := range nodes {
		if err := eventually(r.ctx, func() error { return n.serves(r.ctx) }); err != nil {
			r.t.Fatalf("%s does not serve: %v", n.name, err)
		}
	}
}

// suffer lets faults and load go for a time, and returns how often each fault
// was done.
func (r *trial) suffer(seed uint64, how time.Duration, failed func(error)) map[string]int {
	r.t.Helper()
	diary, err := os.Create(filepath.Join(r.dir, "faults"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer diary.Close()
	ctx, stop := context.WithTimeout(r.ctx, how)
	defer stop()
	torment := &tormentor{
		cluster: r.cluster, seed: seed, begin: time.Now(), failed: failed, diary: diary, counts: map[string]int{},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		torment.run(ctx)
	}()
	r.load.Run(ctx)
	<-ended
	return torment.counts
}

// judge holds a history against the nodes, as they are when all is calm.
func (r *trial) judge(history []linear.Operation, nodes []*node) (lost int, linearizable, equal bool) {
	r.t.Helper()
	hashes, err := settle(r.ctx, nodes)
	if err != nil {
		r.t.Errorf("the nodes do not come to the same index: %v", err)
	}
	differ := slices.ContainsFunc(hashes, func(h wire.StateHash) bool { return h != hashes[0] })
	if err == nil && differ {
		r.t.Errorf("the states differ: %+v", hashes)
	}
	acked, gone, auditErr := audit(r.ctx, nodes, history)
	if auditErr != nil {
		r.t.Errorf("acknowledged writes cannot be looked up: %v", auditErr)
	}
	if len(gone) > 0 || acked == 0 {
		r.t.Errorf("%d of %d acknowledged writes are lost, among them\n%s", len(gone), acked, linear.Text(gone[:min(len(gone), 10)]))
	}
	result, checkErr := linear.Check(history, checkTime)
	switch {
	case checkErr != nil:
		r.t.Errorf("the history cannot be judged: %v", checkErr)
	case result.Verdict != linear.Linearizable:
		r.t.Errorf("%s: %s\n%s", result.Verdict, result.Key+strings.Join(result.Undecided, " "), linear.Text(result.Smallest))
	}
	if r.t.Failed() {
		if err := keepHistory(r.dir, history, result.Smallest); err != nil {
			r.t.Error(err)
		}
	}
	r.t.Logf("%d acknowledged writes are there, on %d keys; %v; hashes %+v", acked-len(gone), result.Keys, result.Verdict, hashes)
	return len(gone), checkErr == nil && result.Verdict == linear.Linearizable, err == nil && !differ
}

// tally counts operations by kind and outcome.
func tally(history []linear.Operation) map[string]int {
	counts := map[string]int{}
	for i := range history {
		o := &history[i]
		name := string(o.Kind)
		if o.IfMatch != 0 || o.IfAbsent {
			name = "conditional " + name
		}
		counts[name+" "+string(o.Outcome)]++
	}
	return counts
}

// list writes counts for people.
func list(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}
