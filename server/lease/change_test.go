package lease_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
)

// transfer has another node lead, and returns it.
func (c *cluster) transfer() int {
	c.t.Helper()
	old := c.Leader()
	next := 1 + old%3
	if err := c.Group(old).Transfer(c.t.Context(), quorate.NodeID(next)); err != nil {
		c.t.Fatal(err)
	}
	return c.Leader()
}

// noted is the index of the last note that a node knows of.
func (c *cluster) noted(node int) raft.Index {
	c.t.Helper()
	at, err := c.Machine(node).(lease.Machine).Noted()
	if err != nil {
		c.t.Fatal(err)
	}
	return at
}

// late is what a change of leaders may cost a lease of which something was noted: a
// note a second, an election timeout, and looking.
const late = time.Second + election + lease.Slack + commit

// Scenario W10: a leader that follows another knows what has passed of a lease. Ten
// changes used to give it its TTL ten times.
func TestW10TenChangesOfLeaders(t *testing.T) {
	story(t, func(c *cluster) {
		const ttl = 30 * time.Second
		c.grant(1, 30)
		time.Sleep(10 * time.Second)
		c.renew(c.Leader(), 1, 30)
		last := time.Now()
		for range 10 {
			time.Sleep(4 * time.Second)
			c.transfer()
			if time.Since(last) < ttl && !c.lives(1, 1) {
				t.Fatalf("gone %v after it was renewed for %v", time.Since(last), ttl)
			}
		}
		// The first leader may not have noted anything yet when it went.
		time.Sleep(time.Until(last.Add(ttl*3/2 + 10*late)))
		if c.lives(1, 1) {
			t.Errorf("it lives %v after it was renewed for %v", time.Since(last), ttl)
		}
	})
}

// A new leader gives a lease what was left of it, and an election timeout; its whole
// TTL while it was renewed as clients do.
func TestANewLeaderExtendsLeases(t *testing.T) {
	story(t, func(c *cluster) {
		time.Sleep(time.Minute)
		c.grant(1, 20)
		time.Sleep(13 * time.Second)
		c.grant(2, 20)
		time.Sleep(5 * time.Second)
		old := c.Leader()
		c.Kill(old)
		killed := time.Now()
		next := c.Leader()
		if took := time.Since(killed); took > 5*election {
			c.t.Fatalf("a new leader after %v", took)
		}
		took := time.Since(killed)
		c.until(next, 1, killed.Add(2*time.Second), took+late)
		c.until(next, 2, killed.Add(20*time.Second+election), took+lease.Slack+commit)
		c.gone(6-old-next, 1)
	})
}

// Who renews as etcd's clients do is never noted; an abandoned lease seldom.
func TestNotesAreFew(t *testing.T) {
	story(t, func(c *cluster) {
		time.Sleep(time.Minute)
		c.grant(1, 30)
		for range 40 {
			time.Sleep(10 * time.Second)
			c.renew(2, 1, 30)
		}
		if at := c.noted(c.Leader()); at != 0 {
			t.Errorf("noted at %d", at)
		}
		c.do(kv.RevokeLease{ID: 1})
		c.grant(2, 3600)
		notes, at := 0, c.noted(1)
		for range 1800 {
			time.Sleep(2 * time.Second)
			if now := c.noted(1); now != at {
				notes, at = notes+1, now
			}
		}
		if notes < 50 || notes > 200 {
			t.Errorf("%d notes of an hour", notes)
		}
	})
}

// Whatever happens to leaders, a lease lives for its TTL after somebody was told that
// it was renewed; and it ends.
func TestNoLeaseEndsEarly(t *testing.T) {
	for seed := range uint64(8) {
		story(t, func(c *cluster) { (&history{c, rand.New(rand.NewPCG(seed, 10)), nil}).tell(seed) })
	}
}

// history is one of leases that are renewed now and then while leaders change.
type history struct {
	*cluster
	*rand.Rand
	told []time.Time // from then on the lease has its TTL
}

func ttl(i int) int64 { return []int64{2, 5, 12, 40}[i] }

func (h *history) tell(seed uint64) {
	for i := range 4 {
		h.told = append(h.told, time.Now())
		h.grant(kv.LeaseID(i+1), ttl(i))
	}
	for range 60 {
		switch h.IntN(10) {
		case 0:
			ctx, cancel := context.WithTimeout(h.t.Context(), election)
			_ = h.Group(h.Leader()).Transfer(ctx, 0) // it may come to nothing
			cancel()
		case 1:
			h.Heal()
			h.Cut(h.Leader())
		case 2:
			h.Heal()
		case 3, 4:
			leader := h.Leader()
			h.renewSome()
			h.Heal()
			h.Cut(leader) // before it can note anything by itself
		default:
			h.renewSome()
		}
		time.Sleep(time.Duration(h.IntN(3000)) * time.Millisecond)
		h.look()
	}
	h.Heal()
	leader := h.Leader()
	time.Sleep(60*time.Second + late)
	for i := range h.told {
		if h.lives(leader, kv.LeaseID(i+1)) {
			h.t.Errorf("lease %d lives for ever", i+1)
		}
	}
	if h.t.Failed() {
		h.t.Logf("seed %d", seed)
	}
}

// renewSome renews one to four leases together, on any node, cut off or not.
func (h *history) renewSome() {
	var which []int
	var ids []kv.LeaseID
	for _, i := range h.Perm(4)[:1+h.IntN(4)] {
		which, ids = append(which, i), append(ids, kv.LeaseID(i+1))
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Duration(h.IntN(4000))*time.Millisecond)
	defer cancel()
	ttls, err := lease.Renew(ctx, h.Group(1+h.IntN(3)), ids...)
	if err != nil {
		return
	}
	for n, i := range which {
		switch ttls[n] {
		case ttl(i):
			h.told[i] = asked
		case 0:
			h.early(i, "cannot be renewed")
		default:
			h.t.Errorf("lease %d was renewed for %d s", i+1, ttls[n])
		}
	}
}

// look looks at all leases where there is a majority.
func (h *history) look() {
	leader := h.Leader()
	for i := range h.told {
		if !h.lives(leader, kv.LeaseID(i+1)) {
			h.early(i, "is gone")
		}
	}
}

func (h *history) early(i int, how string) {
	h.t.Helper()
	if since := time.Since(h.told[i]); since < time.Duration(ttl(i))*time.Second {
		h.t.Errorf("lease %d %s %v after it was renewed for %d s", i+1, how, since, ttl(i))
	}
}
