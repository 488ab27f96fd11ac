package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/sim"
)

// tenant is a client that has one lease after the other, with keys.
type tenant struct {
	guest
	next  kv.LeaseID // to be granted, if nobody knows of the one before
	id    kv.LeaseID // zero: it has none
	was   kv.LeaseID // that is over for certain, so that its ID may be granted anew
	grant bool       // one is under way
	puts  int
}

// Next implements [sim.Guest]. Leases that are left at the end run out.
func (t *tenant) Next(calm bool) *sim.Errand {
	if t.grant = t.id == 0; calm {
		return nil
	}
	if t.grant {
		return t.grants()
	}
	switch draw := t.rng.IntN(20); {
	case draw < 7:
		return t.renews()
	case draw < 10:
		return t.asks()
	case draw < 12:
		return t.look(fmt.Sprintf("the keys of lease %d", t.id), t.compareKeys)
	case draw < 13:
		return t.revokes()
	case draw < 14: // it falls silent for as long as it takes, or nearly
		e := t.asks()
		e.After += time.Duration(t.rng.Int64N(int64(2 * t.ttl)))
		return e
	}
	return t.attaches()
}

// Lost implements [sim.Guest]. Of a lease that may be granted yet nobody speaks again.
func (t *tenant) Lost() {
	if t.grant {
		t.was = 0
	}
}

func (t *tenant) grants() *sim.Errand {
	id := t.was
	if t.was == 0 || t.rng.IntN(2) == 0 {
		t.next++
		id = t.next
	}
	t.was = id
	do := kv.GrantLease{ID: id, TTL: 1 + t.rng.Int64N(3)}
	return t.propose(kv.Command{By: kv.ThisNode, Do: do}, func(r *kv.Result) {
		if r.Code == kv.OK {
			t.id, t.was = id, 0
		}
	})
}

// over says that its lease is no more.
func (t *tenant) over() { t.id, t.was = 0, t.id }

func (t *tenant) renews() *sim.Errand {
	id := t.id
	return t.errand(fmt.Sprintf("to renew lease %d", id), func(ctx context.Context, at sim.Place) func() error {
		from := t.Now()
		seconds, err := lease.Renew(ctx, at.Group, id)
		switch {
		case err != nil:
			return wrong(err)
		case seconds[0] == 0:
			err = t.gone(id, from)
		default:
			err = t.renewed(id, from, seconds[0])
		}
		return func() error {
			if seconds[0] == 0 {
				t.over()
			}
			return err
		}
	})
}

func (t *tenant) asks() *sim.Errand {
	id := t.id
	return t.errand(fmt.Sprintf("what lease %d has left", id), func(ctx context.Context, at sim.Place) func() error {
		from := t.Now()
		seconds, err := lease.Remaining(ctx, at.Group, id)
		switch {
		case errors.Is(err, kv.ErrLeaseNotFound):
			err = t.gone(id, from)
		case err != nil:
			return wrong(err)
		default:
			err = t.promised(id, from, time.Duration(seconds)*time.Second)
		}
		return func() error { return err }
	})
}

func (t *tenant) revokes() *sim.Errand {
	return t.propose(kv.Command{By: kv.ThisNode, Do: kv.RevokeLease{ID: t.id}}, func(r *kv.Result) {
		if r.Code == kv.OK || r.Code == kv.ErrLeaseNotFound {
			t.over()
		}
	})
}

// attaches is a put of a key that belongs to the lease, mostly.
func (t *tenant) attaches() *sim.Errand {
	t.puts++
	put := kv.Put{Key: t.key(), Value: fmt.Appendf(nil, "%d.%d", t.id, t.puts), Lease: t.id}
	if t.rng.IntN(6) == 0 {
		put.Lease = 0
	}
	return t.propose(kv.Command{By: kv.ThisNode, Do: kv.Txn{Then: []kv.Op{put}}}, func(r *kv.Result) {
		if r.Code == kv.ErrLeaseNotFound {
			t.over()
		}
	})
}

// compareKeys holds the keys of its lease, as a node knows them, against the model.
func (t *tenant) compareKeys(m *kv.Machine) error {
	state, err := t.looked(m)
	if err != nil {
		return err
	}
	keys, err := m.LeaseKeys(t.id)
	if err != nil {
		return err
	}
	if got, want := fmt.Sprintf("%q", keys), fmt.Sprintf("%q", t.AttachedAt(state.Revision, t.id)); got != want {
		return broken("model", "a node that has applied %d says that lease %d has keys %s; right is %s", state.Applied, t.id, got, want)
	}
	return nil
}
