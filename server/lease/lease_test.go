package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/lease"
)

const election = time.Second

// commit is longer than anything takes here besides waiting for a timer: messages
// cost no time.
const commit = 100 * time.Millisecond

// cluster is three nodes whose clocks can jump, with a lessor each.
type cluster struct {
	*quoratetest.Cluster
	t       *testing.T
	clocks  map[int]*jumping
	lessors map[int]*lease.Lessor
}

// jumping is a clock that can be set.
type jumping struct {
	env.Env
	mu    sync.Mutex
	ahead time.Duration
}

func (j *jumping) Now() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Env.Now().Add(j.ahead)
}

func (j *jumping) jump(by time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ahead += by
}

// story runs in a bubble, in which only waiting takes time.
func story(t *testing.T, tell func(*cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, clocks: map[int]*jumping{}, lessors: map[int]*lease.Lessor{}}
		c.Cluster = quoratetest.NewCluster(t, 3, func(node int) quorate.StateMachine {
			machine, err := kv.New(store.NewMemory())
			if err != nil {
				t.Fatal(err)
			}
			c.clocks[node] = &jumping{Env: env.Real()}
			c.lessors[node] = lease.New(lease.Options{Machine: machine, Env: c.clocks[node], Election: election, Logger: slog.New(slog.DiscardHandler)})
			return lease.Machine{Machine: machine, Lessor: c.lessors[node]}
		}, func(cfg *quorate.Config) {
			cfg.HeartbeatInterval, cfg.ElectionTimeout, cfg.Logger = election/10, election, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for node, l := range c.lessors {
			work.Go(func() { l.Run(ctx, quorate.NodeID(node), c.Group(node)) })
		}
		c.Leader()
		tell(c)
		cancel()
		work.Wait()
	})
}

func (c *cluster) do(action kv.Action) {
	c.t.Helper()
	result, err := c.Propose(c.t.Context(), kv.Command{Do: action}.Encode())
	if err != nil || result.(*kv.Result).Err() != nil {
		c.t.Fatalf("%+v: %+v, %v", action, result, err)
	}
}

// grant grants a lease that has a key of its own.
func (c *cluster) grant(id kv.LeaseID, ttl int64) {
	c.t.Helper()
	c.do(kv.GrantLease{ID: id, TTL: ttl})
	c.do(kv.Txn{Then: []kv.Op{kv.Put{Key: []byte{byte(id)}, Lease: id}}})
}

// lives reports whether a lease is there, and then its key must be, by what a node
// knows after a linearizable read.
func (c *cluster) lives(node int, id kv.LeaseID) bool {
	c.t.Helper()
	if _, err := c.Group(node).Read(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	machine := c.Machine(node).(lease.Machine).Machine
	g, err := machine.Lease(id)
	if err != nil {
		c.t.Fatal(err)
	}
	key, _, err := machine.Get([]byte{byte(id)}, 0)
	if err != nil || (key != nil) != (g != nil) {
		c.t.Fatalf("node %d: lease %+v, its key %+v, %v", node, g, key, err)
	}
	return g != nil
}

// until wants a lease to live for as long as from now to a time, and to be gone once
// a while more has passed.
func (c *cluster) until(node int, id kv.LeaseID, end time.Time, late time.Duration) {
	c.t.Helper()
	time.Sleep(time.Until(end) - time.Millisecond)
	if !c.lives(node, id) {
		c.t.Errorf("lease %d is gone before its time", id)
	}
	time.Sleep(time.Until(end) + late)
	if c.lives(node, id) {
		c.t.Errorf("lease %d lives %v after its time", id, late)
	}
}

func (c *cluster) renew(node int, id kv.LeaseID, want int64) {
	c.t.Helper()
	if got, err := lease.Renew(c.t.Context(), c.Group(node), id); err != nil || got[0] != want {
		c.t.Errorf("renewed on node %d: %d, %v; want %d", node, got, err, want)
	}
}

func (c *cluster) gone(node int, id kv.LeaseID) {
	c.t.Helper()
	if got, err := lease.Renew(c.t.Context(), c.Group(node), id); err != nil || got[0] != 0 {
		c.t.Errorf("renewed on node %d: %d, %v", node, got, err)
	}
	if got, err := lease.Remaining(c.t.Context(), c.Group(node), id); !errors.Is(err, kv.ErrLeaseNotFound) {
		c.t.Errorf("remaining on node %d: %d, %v", node, got, err)
	}
}

func TestALeaseEndsWithItsTTL(t *testing.T) {
	story(t, func(c *cluster) {
		time.Sleep(time.Minute) // the leader has been known for long
		now := time.Now()
		c.grant(1, 3)
		c.grant(2, 10)
		c.until(2, 1, now.Add(3*time.Second), lease.Slack+commit)
		if !c.lives(3, 2) {
			c.t.Error("the longer lease is gone, too")
		}
		c.until(1, 2, now.Add(10*time.Second), lease.Slack+commit)
	})
}

// Scenario W12: a lease can be renewed, on any node, as soon as it was granted.
func TestW12ALeaseIsRenewedOnAnyNode(t *testing.T) {
	story(t, func(c *cluster) {
		for id := kv.LeaseID(1); id <= 3; id++ {
			c.do(kv.GrantLease{ID: id, TTL: 2})
			c.renew(int(id), id, 2)
		}
		c.grant(4, 3)
		for i := range 30 {
			time.Sleep(2 * time.Second)
			c.renew(1+i%3, 4, 3)
		}
		last := time.Now()
		if left, err := lease.Remaining(c.t.Context(), c.Group(2), 4); err != nil || left < 2 || left > 3 {
			c.t.Errorf("%d s left, %v", left, err)
		}
		c.until(1, 4, last.Add(3*time.Second), lease.Slack+commit)
		for node := 1; node <= 3; node++ {
			c.gone(node, 4)
		}
	})
}

// A lease that was revoked and granted anew has the time of its second grant.
func TestALeaseThatIsGrantedAnew(t *testing.T) {
	story(t, func(c *cluster) {
		time.Sleep(time.Minute)
		c.grant(1, 3)
		c.grant(2, 30)
		time.Sleep(2 * time.Second)
		c.do(kv.RevokeLease{ID: 1})
		c.do(kv.RevokeLease{ID: 2})
		c.gone(3, 1)
		now := time.Now()
		c.grant(1, 8)
		c.grant(2, 3)
		c.until(1, 2, now.Add(3*time.Second), lease.Slack+commit)
		c.until(2, 1, now.Add(8*time.Second), lease.Slack+commit)
	})
}

// A lease that cannot be revoked because of an alarm is revoked once that has ended: it
// is not forgotten. Until then the log is not filled with attempts.
func TestALeaseOutlivesAnAlarmNoLonger(t *testing.T) {
	story(t, func(c *cluster) {
		corrupt := kv.Alarm{Member: 1, Kind: kv.Corrupt}
		c.grant(1, 2)
		c.do(kv.SetAlarm{Alarm: corrupt, On: true})
		applied, err := c.Group(1).Read(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if !c.lives(2, 1) {
			c.t.Error("the lease was revoked in spite of the alarm")
		}
		if now, err := c.Group(1).Read(c.t.Context()); err != nil || now > applied+1 { // what the lease has left was noted
			c.t.Errorf("the log went on from %d to %d while nothing could be done, %v", applied, now, err)
		}
		c.do(kv.SetAlarm{Alarm: corrupt})
		c.until(2, 1, time.Now().Add(time.Millisecond), lease.Slack+commit)
	})
}

// Scenario W09: a leader that was cut off or paused for two TTLs revokes nothing
// that another has renewed meanwhile.
func TestW09AnOldLeaderRevokesNothing(t *testing.T) {
	story(t, func(c *cluster) {
		c.grant(1, 10)
		old := c.Leader()
		c.Cut(old)
		next := c.Leader()
		for range 10 {
			time.Sleep(2 * time.Second)
			c.renew(next, 1, 10)
		}
		last := time.Now()
		c.Heal()
		for node := 1; node <= 3; node++ {
			if !c.lives(node, 1) {
				c.t.Errorf("gone on node %d", node)
			}
		}
		c.renew(old, 1, 10)
		c.until(old, 1, last.Add(10*time.Second), lease.Slack+commit)
	})
}

// While nobody can be asked, nobody is told that a lease lives; nor does it end.
func TestAMinorityRenewsNothing(t *testing.T) {
	story(t, func(c *cluster) {
		c.grant(1, 2)
		old := c.Leader()
		c.renew(old, 1, 2)
		c.Cut(old)
		ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
		defer cancel()
		if got, err := lease.Renew(ctx, c.Group(old), 1); !errors.Is(err, quorate.ErrNoLeader) {
			c.t.Errorf("%d, %v", got, err)
		}
		next := c.Leader()
		if c.lives(next, 1) {
			c.t.Error("it lives on where there is a majority")
		}
		c.Heal()
		c.gone(old, 1)
	})
}

// Scenario W14: a clock that jumps, or a process that stood still, ends no lease
// before its time, nor does it let one live for ever.
func TestW14AClockThatJumps(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		story(t, func(c *cluster) {
			time.Sleep(time.Minute)
			now := time.Now()
			c.grant(1, 10)
			for range 3 {
				time.Sleep(time.Second)
				c.clocks[c.Leader()].jump(by)
			}
			// Each jump may count as a step of the clock, or hide one.
			early := now.Add(10*time.Second - 3*lease.Slack)
			c.until(2, 1, early, 6*lease.Slack+lease.Slack+commit)
		})
	}
}
