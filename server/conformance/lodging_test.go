//go:build unix

package conformance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"
)

// sighting is an event, and when a watcher was told of it: it is no earlier than that.
type sighting struct {
	seen
	at time.Time
}

// lodging is a cluster where clients have leases, seen from members that go on.
// Times are of this process, around calls: what they judge is certain on a machine of
// any speed.
type lodging struct {
	*testing.T
	prefix string
	steady *clientv3.Client
	ctx    context.Context // ends with close
	end    context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	history []sighting
}

// lodger is a client with a lease, which it renews until it leaves.
type lodger struct {
	id      clientv3.LeaseID
	keys    []string
	leave   context.CancelFunc
	renewed sync.WaitGroup

	// The begin and the end of the last call that granted or renewed the lease. They
	// are settled when the client has left.
	asked, answered time.Time
}

func newLodging(t *testing.T, prefix string, members []*member) *lodging {
	t.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.client)
	}
	l := &lodging{T: t, prefix: prefix, steady: connect(t, addresses...)}
	l.ctx, l.end = context.WithCancel(t.Context())
	first := l.put(prefix, 0)
	l.work.Go(func() {
		for r := range l.steady.Watch(l.ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(first)) {
			l.mu.Lock()
			for _, e := range r.Events {
				l.history = append(l.history, sighting{seen{e.Kv.ModRevision, string(e.Kv.Key), e.Type == clientv3.EventTypeDelete, string(e.Kv.Value)}, time.Now()})
			}
			l.mu.Unlock()
		}
	})
	return l
}

func (l *lodging) close() {
	l.end()
	l.work.Wait()
}

func (l *lodging) events() []sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.history)
}

// put writes a key, however often it takes, and returns at which revision.
func (l *lodging) put(key string, id clientv3.LeaseID) (revision int64) {
	l.Helper()
	await(l.T, "a put of "+key, func() bool {
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		defer cancel()
		r, err := l.steady.Put(ctx, key, "", clientv3.WithLease(id))
		if err == nil {
			revision = r.Header.Revision
		}
		return err == nil
	})
	return revision
}

// nextLease is the ID of the next lease.
var nextLease clientv3.LeaseID = 100

// lodge grants a lease that has the keys, and renews it.
func (l *lodging) lodge(keys ...string) *lodger {
	l.Helper()
	g := &lodger{id: nextLease}
	nextLease++
	l.grant(g, keys...)
	return g
}

func (l *lodging) grant(g *lodger, keys ...string) {
	l.Helper()
	g.asked = time.Now()
	await(l.T, "a lease", func() bool {
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		defer cancel()
		_, err := pb.NewLeaseClient(l.steady.ActiveConnection()).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: int64(g.id), TTL: int64(ttl.Seconds())})
		return err == nil || status.Convert(err).Message() == status.Convert(rpctypes.ErrGRPCLeaseExist).Message() // by a call without an answer
	})
	g.answered = time.Now()
	ctx, leave := context.WithCancel(l.ctx)
	g.leave = leave
	g.renewed.Go(func() { l.renewing(ctx, g) })
	for _, k := range keys {
		l.put(l.prefix+k, g.id)
		g.keys = append(g.keys, l.prefix+k)
	}
}

func (l *lodging) renewing(ctx context.Context, g *lodger) {
	for ctx.Err() == nil {
		asked := time.Now()
		once, cancel := context.WithTimeout(l.ctx, time.Second) // to its end even if the client is about to leave
		_, err := l.steady.KeepAliveOnce(once, g.id)
		cancel()
		g.answered = time.Now()
		if err == nil {
			g.asked = asked
		}
		select {
		case <-time.After(ttl / 20):
		case <-ctx.Done():
		}
	}
}

// left ends the renewals.
func (g *lodger) left() *lodger {
	g.leave()
	g.renewed.Wait()
	return g
}

// replace ends a lease and grants another one with the same ID.
func (l *lodging) replace(g *lodger, keys ...string) {
	l.Helper()
	await(l.T, "the end of a lease", func() bool {
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		defer cancel()
		_, err := l.steady.Revoke(ctx, g.id)
		return err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound)
	})
	g.keys = nil
	l.grant(g, keys...)
}

// gone waits until a key is deleted.
func (l *lodging) gone(key string) (end sighting) {
	l.Helper()
	await(l.T, "the end of "+key, func() bool {
		for _, e := range l.events() {
			if e.key == key && e.deleted {
				end = e
				return true
			}
		}
		return false
	})
	return end
}

// early is how many of the keys went before the lease may have ended.
func (l *lodging) early(g *lodger, keys ...string) (early int) {
	l.Helper()
	for _, key := range keys {
		if end, due := l.gone(key), g.asked.Add(ttl); end.at.Before(due) {
			early++
			l.Errorf("%s went %v before its lease may end", key, due.Sub(end.at))
		}
	}
	return early
}

// late is how long after its lease should have ended a key went.
func (l *lodging) late(key string, due time.Time) time.Duration {
	l.Helper()
	return max(0, l.gone(key).at.Sub(due))
}
