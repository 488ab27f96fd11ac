//go:build unix

package conformance

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	kills    = flag.Int("kills", 2, "how often the leader is killed while watches go on")
	watchers = flag.Int("watchers", 20, "of etcd clients on three nodes, while the leader is killed")
)

// snapshotEvery is so small that who was away for a while needs a snapshot.
const snapshotEvery = 100

// member is a node as a process, which can be killed.
type member struct {
	*testing.T
	command []string
	client  string
	log     string
	process *exec.Cmd
}

// startMembers builds quorate and runs three processes of it, with more flags.
func startMembers(t *testing.T, more ...string) (all []*member) {
	t.Helper()
	home := t.TempDir()
	program := filepath.Join(home, "quorate")
	build := exec.Command("go", "build", "-o", program, "./cmd/quorate")
	build.Dir = ".."
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOWORK=") { // the server is in the workspace
			build.Env = append(build.Env, v)
		}
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building quorate: %v\n%s", err, out)
	}
	var peers, seeds []string
	for i := range 3 {
		peers = append(peers, "http://127.0.0.1:"+freePort(t))
		seeds = append(seeds, fmt.Sprintf("n%d=%s", i, peers[i]))
	}
	for i := range 3 {
		m := &member{T: t, client: "127.0.0.1:" + freePort(t), log: filepath.Join(home, fmt.Sprint("log", i))}
		m.command = []string{program, "serve", fmt.Sprint("--name=n", i), "--data-dir=" + filepath.Join(home, fmt.Sprint("n", i)),
			"--listen-client-urls=http://" + m.client, "--listen-peer-urls=" + peers[i], "--initial-cluster=" + strings.Join(seeds, ","),
			"--heartbeat-interval=50", "--election-timeout=500", fmt.Sprint("--snapshot-count=", snapshotEvery),
			"--watch-progress-notify-interval=200ms"}
		m.command = append(m.command, more...)
		m.start()
		t.Cleanup(m.kill)
		all = append(all, m)
	}
	return all
}

func (m *member) start() {
	m.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.Fatal(err)
	}
	defer log.Close() // the process has its own handle
	m.process = exec.Command(m.command[0], m.command[1:]...)
	m.process.Stdout, m.process.Stderr = log, log
	if err := m.process.Start(); err != nil {
		m.Fatal(err)
	}
}

// kill is kill -9.
func (m *member) kill() {
	_ = m.process.Process.Kill() // it may be gone already
	_ = m.process.Wait()         // it was killed
}

func (m *member) signal(s os.Signal) {
	m.Helper()
	if err := m.process.Process.Signal(s); err != nil {
		m.Fatal(err)
	}
}

// snapshots is how many snapshots the member has taken over from its leaders.
func (m *member) snapshots() int {
	m.Helper()
	log, err := os.ReadFile(m.log)
	if err != nil {
		m.Fatal(err)
	}
	return bytes.Count(log, []byte("loaded a snapshot from the leader"))
}

// seen is an event, as far as it must be the same for all.
type seen struct {
	revision int64
	key      string
	deleted  bool
	value    string
}

// observer is one watcher.
type observer struct {
	name       string
	start, end string
	from       int64
	before     bool
	puts       bool // only these

	mu       sync.Mutex
	events   []seen
	informed int64 // all events up to here were told
	wrong    error
}

func (o *observer) options() []clientv3.OpOption {
	opts := []clientv3.OpOption{clientv3.WithRev(o.at() + 1), clientv3.WithProgressNotify()}
	if o.end != "" {
		opts = append(opts, clientv3.WithRange(o.end))
	}
	if o.before {
		opts = append(opts, clientv3.WithPrevKV(), clientv3.WithFragment())
	}
	if o.puts {
		opts = append(opts, clientv3.WithFilterDelete())
	}
	return opts
}

// watch takes what it is told until the context ends. Who requires a leader is told
// when there is none, and begins again where that was.
func (o *observer) watch(ctx context.Context, c *clientv3.Client) {
	known := make(map[string]int64) // the revision that put a key; 0: it was deleted
	for ctx.Err() == nil {
		o.once(ctx, c, known)
	}
}

func (o *observer) once(ctx context.Context, c *clientv3.Client, known map[string]int64) {
	for r := range c.Watch(ctx, o.start, o.options()...) {
		o.mu.Lock()
		if err := r.Err(); err != nil && ctx.Err() == nil && !errors.Is(err, rpctypes.ErrNoLeader) {
			o.wrong = fmt.Errorf("it ended after revision %d: %w", o.informed, err)
		}
		for _, e := range r.Events {
			if e.Kv.ModRevision <= o.informed {
				o.wrong = fmt.Errorf("told up to %d, then of %s", o.informed, eventText(e))
			}
			if was, ok := known[string(e.Kv.Key)]; ok && o.before && was != e.PrevKv.GetModRevision() {
				o.wrong = fmt.Errorf("%s: what was before is of revision %d, not %d", eventText(e), e.PrevKv.GetModRevision(), was)
			}
			deleted := e.Type == clientv3.EventTypeDelete
			known[string(e.Kv.Key)] = e.Kv.ModRevision
			if deleted {
				known[string(e.Kv.Key)] = 0
			}
			o.events = append(o.events, seen{e.Kv.ModRevision, string(e.Kv.Key), deleted, string(e.Kv.Value)})
		}
		switch {
		case len(r.Events) > 0:
			o.informed = r.Events[len(r.Events)-1].Kv.ModRevision
		case r.IsProgressNotify() && r.Header.Revision < o.informed:
			o.wrong = fmt.Errorf("told up to %d, then of progress to %d", o.informed, r.Header.Revision)
		case r.IsProgressNotify():
			o.informed = r.Header.Revision
		}
		o.mu.Unlock()
	}
}

func (o *observer) at() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.informed
}

// wants reports whether an event is for the observer.
func (o *observer) wants(e seen) bool {
	inRange := e.key == o.start || o.end != "" && e.key >= o.start && e.key < o.end
	return e.revision >= o.from && inRange && !(o.puts && e.deleted)
}

// fire is the test's world.
type fire struct {
	*testing.T
	members []*member
	clients []*clientv3.Client
	work    sync.WaitGroup
	ctx     context.Context // of the watches

	mu        sync.Mutex
	observers []*observer
	acked     []seen // writes that were answered
	compacted int64
}

// key is one of few, so that each is written often.
func key(i int) string { return fmt.Sprintf("f/%02d", i) }

// add begins the next observer, in the past but not before what may be compacted.
func (f *fire) add() {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.observers)
	o := &observer{name: fmt.Sprint("watcher ", i), start: "f/", end: "f0", from: f.compacted + 2, before: i%5 == 1, puts: i%5 == 4}
	switch i % 5 {
	case 2:
		o.start, o.end = key(3), key(9)
	case 3:
		o.start, o.end = key(i%20), ""
	}
	o.informed = o.from - 1
	ctx := f.ctx
	if i%2 == 0 {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	f.observers = append(f.observers, o)
	f.work.Go(func() { o.watch(ctx, f.clients[i%len(f.clients)]) })
}

// least is the revision that all observers have come to.
func (f *fire) least() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	least := f.observers[0].at()
	for _, o := range f.observers {
		least = min(least, o.at())
	}
	return least
}

// write writes until the context ends; what is not answered may have been done.
func (f *fire) write(ctx context.Context, c *clientv3.Client, r *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		keys := r.Perm(20)[:1]
		var err error
		var revision int64
		switch kind := r.IntN(6); kind {
		case 0:
			_, err = c.Delete(once, key(keys[0]))
		case 1:
			keys = r.Perm(20)[:3]
			fallthrough
		default:
			var ops []clientv3.Op
			for _, k := range keys {
				ops = append(ops, clientv3.OpPut(key(k), fmt.Sprint(len(keys))))
			}
			var done *clientv3.TxnResponse
			if done, err = c.Txn(once).Then(ops...).Commit(); err == nil {
				revision = done.Header.Revision
			}
		}
		cancel()
		if err == nil && revision > 0 {
			f.mu.Lock()
			for _, k := range keys {
				f.acked = append(f.acked, seen{revision, key(k), false, fmt.Sprint(len(keys))})
			}
			f.mu.Unlock()
		}
		time.Sleep(2 * time.Millisecond) // the watchers' client is on the same processors
	}
}

// compact compacts what all observers have been told of.
func (f *fire) compact(ctx context.Context, c *clientv3.Client) {
	for ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		least := f.least()
		f.mu.Lock()
		f.compacted = max(f.compacted, least-20)
		to := f.compacted
		f.mu.Unlock()
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		if to > 0 {
			_, _ = c.Compact(once, to) // refused if it was done before, or there is no leader
		}
		cancel()
	}
}

func (f *fire) await(what string, condition func() bool) {
	f.Helper()
	for limit := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			f.mu.Lock()
			for _, o := range f.observers {
				o.mu.Lock()
				f.Errorf("%s has come to %d: %v", o.name, o.informed, o.wrong)
				o.mu.Unlock()
			}
			f.Fatalf("waited in vain for %s; %d writes were answered", what, len(f.acked))
		}
	}
}

// later waits until so many revisions more have been seen.
func (f *fire) later(revisions int64) {
	f.Helper()
	to := f.observers[0].at() + revisions
	f.await(fmt.Sprint("revision ", to), func() bool { return f.observers[0].at() >= to })
}

// leader returns the members, the leader first.
func (f *fire) leader() (all []*member) {
	f.Helper()
	f.await("a leader", func() bool {
		for i, m := range f.members {
			ctx, cancel := context.WithTimeout(f.ctx, time.Second)
			status, err := f.clients[0].Status(ctx, m.client)
			cancel()
			if err == nil && status.Leader == status.Header.MemberId {
				all = slices.Concat(f.members[i:], f.members[:i])
				return true
			}
		}
		return false
	})
	return all
}

// round kills the leader and starts it again, then stops a follower for so long
// that it needs a snapshot, with its watchers on it.
func (f *fire) round() {
	f.Helper()
	leader := f.leader()[0]
	leader.kill()
	f.later(snapshotEvery)
	leader.start()
	f.await("the member that was killed", func() bool {
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		_, err := f.clients[0].Status(ctx, leader.client)
		return err == nil
	})
	follower := f.leader()[1]
	follower.signal(syscall.SIGSTOP)
	revision := f.acks()
	f.await("writes while a member is stopped", func() bool { return f.acks() >= revision+8*snapshotEvery })
	follower.signal(syscall.SIGCONT)
	f.later(snapshotEvery)
}

func (f *fire) acks() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.acked)
}

// Every watcher on three nodes is told every event after its start once, in order,
// while the leader is killed, followers take snapshots and history is compacted.
func TestWatchUnderFire(t *testing.T) {
	begin := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	f := &fire{T: t, members: startMembers(t), ctx: ctx}
	var addresses []string
	for _, m := range f.members {
		addresses = append(addresses, m.client)
	}
	for range 9 {
		f.clients = append(f.clients, connect(t, addresses...))
	}
	defer f.work.Wait()
	defer cancel()
	for range (*watchers + 1) / 2 {
		f.add()
	}
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var writers sync.WaitGroup
	for i := range 6 {
		own := connect(t, addresses[i%3]) // so that those of a member that is stopped hold up no others
		writers.Go(func() { f.write(writing, own, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	writers.Go(func() { f.compact(writing, f.clients[0]) })
	f.later(50)
	for i := range *kills {
		for len(f.observers) < *watchers*(*kills+i+1)/(2**kills) {
			f.add()
		}
		f.round()
	}
	stop()
	writers.Wait()
	last, err := f.clients[0].Get(ctx, "f/")
	if err != nil {
		t.Fatal(err)
	}
	f.await("all watchers to be told everything", func() bool { return f.least() >= last.Header.Revision || f.Failed() })
	cancel()
	f.work.Wait()
	f.judge(last.Header.Revision, time.Since(begin))
}

// judge compares what all were told with what the first was, and that with itself:
// each revision is there, whole. A write that nobody waited for may be done after the
// last revision; not everybody has been told of that one.
func (f *fire) judge(last int64, took time.Duration) {
	for _, o := range f.observers {
		o.events = slices.DeleteFunc(o.events, func(e seen) bool { return e.revision > last })
	}
	all := f.observers[0].events
	revision := f.observers[0].from - 1
	for rest := all; len(rest) > 0; revision++ {
		n := 1
		for n < len(rest) && rest[n].revision == rest[0].revision {
			n++
		}
		if rest[0].revision != revision+1 || !rest[0].deleted && rest[0].value != fmt.Sprint(n) {
			f.Fatalf("after revision %d came %v", revision, rest[:n])
		}
		rest = rest[n:]
	}
	if revision != last {
		f.Errorf("the last revision is %d, but %d was told", last, revision)
	}
	told := make(map[seen]bool)
	for _, e := range all {
		told[e] = true
	}
	for _, e := range f.acked {
		if !told[e] {
			f.Errorf("nobody was told of %v, which was answered", e)
		}
	}
	events := 0
	for _, o := range f.observers {
		var due []seen
		for _, e := range all {
			if o.wants(e) {
				due = append(due, e)
			}
		}
		events += len(due)
		if o.wrong != nil {
			f.Errorf("%s: %v", o.name, o.wrong)
		}
		if !slices.Equal(due, o.events) {
			f.Errorf("%s, from %d, was told %d events, not %d", o.name, o.from, len(o.events), len(due))
		}
	}
	snapshots := 0
	for _, m := range f.members {
		snapshots += m.snapshots()
	}
	if snapshots == 0 || f.compacted == 0 {
		f.Errorf("%d snapshots were taken over, and compacted is %d", snapshots, f.compacted)
	}
	fmt.Printf("%d watchers, %d kills, %d snapshots taken over, %d revisions of which %d compacted, %d events told, %v\n",
		len(f.observers), *kills, snapshots, last, f.compacted, events, took.Round(time.Second))
	if *kills >= 10 && *watchers >= 100 {
		goal.Print(os.Stdout, "watch_under_fire_kills", float64(*kills), 10, !f.Failed())
	}
}
