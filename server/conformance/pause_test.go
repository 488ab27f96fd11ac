//go:build unix

package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/server/api/lockpb"
)

var pauses = flag.Int("pauses", 1, "how often the leader is stopped for two TTLs while leases and locks are held")

const (
	ttl          = 4 * time.Second
	pauseTime    = 2 * ttl
	electionTime = 500 * time.Millisecond // as startMembers has it
	pauseCounts  = 500 * time.Millisecond // so much of a pause of the leader counts: lease.Slack
)

// findings are what the pauses showed, besides what is wrong anyway.
type findings struct {
	early, stale int           // leases that ended too soon; writes of a holder after its lock
	late         time.Duration // the most that a lease lived longer than its time
}

// leaderFirst returns the members, the leader first.
func leaderFirst(t *testing.T, c *clientv3.Client, members []*member) (all []*member) {
	t.Helper()
	await(t, "a leader", func() bool {
		for i, m := range members {
			if leads(t, c, m) {
				all = slices.Concat(members[i:], members[:i])
				return true
			}
		}
		return false
	})
	return all
}

func leads(t *testing.T, c *clientv3.Client, m *member) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	status, err := c.Status(ctx, m.client)
	return err == nil && status.Leader == status.Header.MemberId
}

// await waits for what must happen. Only a cluster that hangs takes so long.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// contender is a client that has a lock, or wants it, and writes as its owner.
type contender struct {
	*lodger
	key   string
	fence int64
}

// write writes as a lock's owner: if the key is still there that was made for it.
func (c *contender) write(ctx context.Context, by *clientv3.Client, key, value string) (done bool) {
	r, err := by.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(c.key), "=", c.fence)).
		Then(clientv3.OpPut(key, value)).Commit()
	return err == nil && r.Succeeded
}

// lockKind is a way to take a lock.
type lockKind struct {
	name string
	take func(ctx context.Context, c *clientv3.Client, name string, id clientv3.LeaseID) (key string, fence int64, err error)
}

var lockKinds = []lockKind{{"service", byService}, {"client", byClient}}

// byService takes a lock from etcd's Lock service.
func byService(ctx context.Context, c *clientv3.Client, name string, id clientv3.LeaseID) (string, int64, error) {
	r, err := lockpb.NewLockClient(c.ActiveConnection()).Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: int64(id)})
	if err != nil {
		return "", 0, err
	}
	got, err := c.Get(ctx, string(r.Key)) // the header is of the moment when it was its turn
	if err != nil || len(got.Kvs) == 0 {
		return "", 0, fmt.Errorf("the lock's key: %v, %w", got, err)
	}
	return string(r.Key), got.Kvs[0].CreateRevision, nil
}

// byClient takes it as etcd's client does, without the service.
func byClient(ctx context.Context, c *clientv3.Client, name string, id clientv3.LeaseID) (string, int64, error) {
	s, err := concurrency.NewSession(c, concurrency.WithLease(id))
	if err != nil {
		return "", 0, err
	}
	defer s.Orphan() // the lease is renewed elsewhere, or not at all
	m := concurrency.NewMutex(s, name)
	if err := m.Lock(ctx); err != nil {
		return "", 0, err
	}
	got, err := c.Get(ctx, m.Key())
	if err != nil || len(got.Kvs) == 0 {
		return "", 0, fmt.Errorf("the lock's key: %v, %w", got, err)
	}
	return m.Key(), got.Kvs[0].CreateRevision, nil
}

// contest is a lock that one holds, whose lease then ends, and another waits for.
type contest struct {
	lockKind
	account   string
	old, next *contender
	taken     chan time.Time // when the next one learnt that it has the lock
}

// contend has a lock taken, and waited for.
func (l *lodging) contend(k lockKind) *contest {
	l.Helper()
	name := l.prefix + k.name
	c := &contest{lockKind: k, account: name + "-account", taken: make(chan time.Time, 1)}
	c.old = &contender{lodger: l.lodge()}
	var err error
	if c.old.key, c.old.fence, err = k.take(l.ctx, l.steady, name, c.old.id); err != nil {
		l.Fatal(err)
	}
	if !c.old.write(l.ctx, l.steady, c.account, "old") {
		l.Fatal("the owner of the lock may not write")
	}
	c.next = &contender{lodger: l.lodge()}
	l.work.Go(func() {
		for l.ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
			key, fence, err := k.take(ctx, l.steady, name, c.next.id)
			cancel()
			if err == nil {
				c.next.key, c.next.fence = key, fence
				c.taken <- time.Now()
				return
			}
		}
	})
	return c
}

// insist has the old owner write on, at the member that is stopped, whatever it is told.
func (l *lodging) insist(c *contest, at *clientv3.Client) {
	l.work.Go(func() {
		for l.ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(l.ctx, pauseTime+ttl)
			c.old.write(ctx, at, c.account, "old")
			cancel()
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// judge says how often the old owner wrote after it had lost the lock; revisions do
// not lie about what came first.
func (l *lodging) judge(c *contest, taken time.Time) (stale int) {
	l.Helper()
	if over := c.old.asked.Add(ttl); taken.Before(over) {
		l.Errorf("%s: the next one has the lock %v before the lease of the old one may end", c.name, over.Sub(taken))
	}
	lost := l.gone(c.old.key)
	if c.next.fence <= c.old.fence {
		l.Errorf("%s: the fence was %d, then %d", c.name, c.old.fence, c.next.fence)
	}
	writes := map[string]int{}
	for _, e := range l.events() {
		if e.key != c.account || e.deleted {
			continue
		}
		writes[e.value]++
		if e.value == "old" && e.revision > lost.revision {
			stale++
		}
		if e.value == "next" && e.revision < lost.revision {
			l.Errorf("%s: the next one wrote at revision %d, the old one had the lock until %d", c.name, e.revision, lost.revision)
		}
	}
	if writes["old"] == 0 || writes["next"] == 0 {
		l.Errorf("%s: nothing is tried: %v", c.name, writes)
	}
	return stale
}

// A leader is stopped for two TTLs. Meanwhile and afterwards: no lease ends before its
// TTL is over, by whoever's clock; what nobody renews goes, all of its keys at once;
// the old leader revokes nothing that lives, not even what has the same ID; what is
// gone is not renewed; and who has lost a lock writes nothing that is guarded by it.
func TestW09W11W13W15TheLeaderIsStoppedForTwoTTLs(t *testing.T) {
	members := startMembers(t)
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.client)
	}
	all := connect(t, addresses...)
	var f findings
	for i := range *pauses {
		pauseLeader(t, leaderFirst(t, all, members), i, &f)
	}
	goal.AtMost(os.Stdout, "leases_ended_early", float64(f.early), 0)
	goal.AtMost(os.Stdout, "lease_ended_late_ms", float64(f.late.Milliseconds()), 1000) // half a second, and that of a write
	goal.AtMost(os.Stdout, "writes_after_a_lost_lock", float64(f.stale), 0)
	if f.early > 0 || f.stale > 0 {
		t.Fail()
	}
}

func pauseLeader(t *testing.T, members []*member, round int, f *findings) {
	t.Helper()
	leader, others := members[0], members[1:]
	at := connect(t, leader.client)
	l := newLodging(t, fmt.Sprintf("p%d/", round), others)
	defer l.close()

	kept := l.lodge("kept")
	var contests []*contest
	for _, k := range lockKinds {
		contests = append(contests, l.contend(k))
	}
	idle, again := l.lodge("idle1", "idle2", "idle3"), l.lodge("again1")
	for _, g := range []*lodger{idle, again, contests[0].old.lodger, contests[1].old.lodger} {
		g.left()
	}

	leader.signal(syscall.SIGSTOP)
	stopped := time.Now()
	for _, c := range contests {
		l.insist(c, at)
	}
	await(t, "another leader", func() bool { return leads(t, l.steady, others[0]) || leads(t, l.steady, others[1]) })
	led := time.Now()
	l.replace(again, "again2")
	for _, key := range idle.keys {
		l.gone(key)
	}
	time.Sleep(time.Until(stopped.Add(pauseTime)))
	leader.signal(syscall.SIGCONT)

	l.notRenewed(at, idle.id)
	var taken []time.Time
	for _, c := range contests {
		taken = append(taken, <-c.taken)
		await(t, "a write of the next owner", func() bool { return c.next.write(l.ctx, l.steady, c.account, "next") })
	}
	time.Sleep(ttl) // for the old leader to do what it must not
	kept.left()
	again.left()
	for i, c := range contests {
		f.stale += l.judge(c, taken[i])
		f.early += l.early(c.old.lodger, c.old.key)
	}
	f.early += l.early(kept, kept.keys...) + l.early(again, again.keys...) + l.early(idle, idle.keys...)
	if first := l.gone(idle.keys[0]); l.gone(idle.keys[1]).revision != first.revision || l.gone(idle.keys[2]).revision != first.revision {
		t.Error("the keys of a lease went in several revisions")
	}
	// The new leader gave it its time anew.
	f.late = max(f.late, l.late(idle.keys[0], led.Add(ttl+electionTime)))
	f.late = max(f.late, l.late(kept.keys[0], kept.answered.Add(ttl)))
}

// notRenewed asks a member to renew a lease that is gone: it may fail to answer, and
// must not say yes.
func (l *lodging) notRenewed(at *clientv3.Client, id clientv3.LeaseID) {
	l.Helper()
	await(l.T, "the word that a lease is gone", func() bool {
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		defer cancel()
		r, err := at.KeepAliveOnce(ctx, id)
		if err == nil {
			l.Errorf("a lease that is gone was renewed for %d s", r.TTL)
		}
		return err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound)
	})
}

// All members are stopped for two TTLs, as if the machine slept: that time does not
// count, since nobody could renew anything.
func TestW14AClusterThatStoodStillEndsNoLease(t *testing.T) {
	members := startMembers(t)
	l := newLodging(t, "s/", members)
	defer l.close()
	leaderFirst(t, l.steady, members)
	a := l.lodge("a").left()
	for _, m := range members {
		m.signal(syscall.SIGSTOP)
	}
	from := time.Now()
	time.Sleep(pauseTime)
	stood := time.Since(from)
	for _, m := range members {
		m.signal(syscall.SIGCONT)
	}
	gone := l.gone(a.keys[0])
	if due := a.asked.Add(ttl + stood - pauseCounts); gone.at.Before(due) {
		t.Errorf("its lease ended %v early", due.Sub(gone.at))
	}
}
