package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// inTime bounds what a test waits for.
func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// untilGone waits for the delete of a key that is there at a revision.
func untilGone(t *testing.T, c *clientv3.Client, key string, revision int64) {
	t.Helper()
	for r := range c.Watch(inTime(t), key, clientv3.WithRev(revision)) {
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Events {
			if e.Type == clientv3.EventTypeDelete {
				return
			}
		}
	}
	t.Fatalf("%s is still there", key)
}

// A lease takes its key with it when nobody keeps it alive, and not before; what a
// client may ask of it is answered on each node.
func TestClientLease(t *testing.T) {
	addresses, _ := startQuorate(t, 3)
	c, ctx := connect(t, addresses...), inTime(t)
	kept, err := c.Grant(ctx, 1)
	if err != nil || kept.TTL != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	alive, err := c.KeepAlive(ctx, kept.ID)
	if err != nil {
		t.Fatal(err)
	}
	short, err := c.Grant(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, id clientv3.LeaseID) int64 {
		t.Helper()
		r, err := c.Put(ctx, key, "x", clientv3.WithLease(id))
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Revision
	}
	put("kept", kept.ID)
	untilGone(t, c, "short", put("short", short.ID))
	for range 5 { // each is a third of the TTL
		if r := <-alive; r == nil || r.TTL != 1 {
			t.Fatalf("kept alive: %v", r)
		}
	}
	for i, a := range addresses {
		one := connect(t, a)
		is, err := one.TimeToLive(ctx, kept.ID, clientv3.WithAttachedKeys())
		if err != nil || is.GrantedTTL != 1 || fmt.Sprintf("%s", is.Keys) != "[kept]" {
			t.Errorf("node %d: %+v, %v", i, is, err)
		}
		if is, err := one.TimeToLive(ctx, short.ID); err != nil || is.TTL != -1 {
			t.Errorf("node %d: %+v, %v", i, is, err)
		}
		if r, err := one.KeepAliveOnce(ctx, kept.ID); err != nil || r.TTL != 1 {
			t.Errorf("node %d: %+v, %v", i, r, err)
		}
		if _, err := one.KeepAliveOnce(ctx, short.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.Errorf("node %d: %v", i, err)
		}
		if all, err := one.Leases(ctx); err != nil || len(all.Leases) != 1 || all.Leases[0].ID != kept.ID {
			t.Errorf("node %d: %+v, %v", i, all, err)
		}
	}
	if _, err := c.Revoke(ctx, kept.ID); err != nil {
		t.Error(err)
	}
	if got, err := c.Get(ctx, "kept"); err != nil || got.Count != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.Revoke(ctx, kept.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Error(err)
	}
}

// A mutex passes from session to session, also to one that is left to its TTL, and
// the fencing revision rises each time.
func TestClientMutex(t *testing.T) {
	addresses, _ := startQuorate(t, 3)
	ctx := inTime(t)
	var fence int64
	for i := range 3 {
		c := connect(t, addresses[i])
		s, err := concurrency.NewSession(c, concurrency.WithTTL(1))
		if err != nil {
			t.Fatal(err)
		}
		m := concurrency.NewMutex(s, "lock")
		if err := m.Lock(ctx); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
		if now := m.Header().Revision; now <= fence {
			t.Errorf("session %d holds it from revision %d, the one before from %d", i, now, fence)
		}
		fence = m.Header().Revision
		switch i {
		case 0:
			if err := m.Unlock(ctx); err != nil {
				t.Error(err)
			}
		case 1:
			s.Orphan() // nobody keeps it alive: the lease must end by itself
		}
	}
}

// An elected client keeps its office, and its session, though the leader of the
// cluster goes; the next one is elected when it resigns.
func TestClientElectionOutlivesTheLeader(t *testing.T) {
	addresses, stops := startQuorate(t, 3)
	c, ctx := connect(t, addresses...), inTime(t)
	session := func() *concurrency.Session {
		t.Helper()
		s, err := concurrency.NewSession(c, concurrency.WithTTL(5))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := session()
	e := concurrency.NewElection(first, "office")
	if err := e.Campaign(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	second, next := concurrency.NewElection(session(), "office"), make(chan error, 1)
	go func() { next <- second.Campaign(ctx, "two") }()
	for i, address := range addresses {
		status, err := c.Status(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		if status.Leader == status.Header.MemberId {
			stops[i]()
			break
		}
	}
	for range 3 {
		if err := e.Proclaim(ctx, "still one"); err != nil && !errors.Is(err, rpctypes.ErrTimeout) {
			t.Errorf("it is not in office any more: %v", err)
		}
	}
	select {
	case <-first.Done():
		t.Error("the session has ended")
	case err := <-next:
		t.Errorf("two are in office: %v", err)
	default:
	}
	if err := e.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	got, err := e.Leader(ctx)
	if err != nil || string(got.Kvs[0].Value) != "two" {
		t.Errorf("%v, %v", got, err)
	}
}
