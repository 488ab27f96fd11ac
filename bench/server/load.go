package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// kind is what the clients do.
type kind string

// The kinds of work. Mixed is a put and a linearizable get in turns; a watch's
// operation is an event that reached one watcher.
const (
	put          kind = "put"
	get          kind = "get"
	serializable kind = "serializable get"
	mixed        kind = "mixed"
	swap         kind = "compare-and-swap"
	rangeOf1000  kind = "range of 1000"
	watch        kind = "watch"
)

// workload is a kind of work and how many clients do it, each in a closed loop.
type workload struct {
	kind    kind
	clients int
}

func (w workload) String() string { return fmt.Sprintf("%s, %d clients", w.kind, w.clients) }

// workloads returns all there are, or those of the given kinds.
func workloads(kinds string) (all []workload) {
	for _, clients := range []int{1, 64, 512} {
		for _, k := range []kind{put, get, serializable, mixed, swap} {
			all = append(all, workload{k, clients})
		}
	}
	all = append(all, workload{rangeOf1000, 8}, workload{watch, 100})
	return slices.DeleteFunc(all, func(w workload) bool {
		return kinds != "" && !slices.Contains(strings.Split(kinds, ","), string(w.kind))
	})
}

// figures are what one window has shown.
type figures struct {
	cpu      float64 // of the servers, microseconds an operation
	rate     float64 // operations a second
	p50, p99 float64 // microseconds
	memory   float64 // of the servers together at the end, MB
}

const (
	valueBytes  = 256
	keys        = 10_000
	connections = 4 // to each node
)

// load is clients of a cluster.
type load struct {
	cluster *cluster
	clients []*clientv3.Client // the leader's first
	value   string
}

// newLoad connects to all nodes once there is a leader, and writes all keys.
func newLoad(ctx context.Context, c *cluster) (*load, error) {
	l := &load{cluster: c, value: string(make([]byte, valueBytes))}
	leader, err := c.settled(ctx)
	for i := 0; err == nil && i < connections*replicas; i++ {
		var client *clientv3.Client
		if client, err = connect(c.endpoints[(leader+i)%replicas]); err == nil {
			l.clients = append(l.clients, client)
		}
	}
	if err == nil {
		err = l.fill(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func connect(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

func (l *load) close() (err error) {
	for _, client := range l.clients {
		err = errors.Join(err, client.Close())
	}
	return err
}

// first is one error of many that say the same.
func first(all []error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func key(i int) string { return fmt.Sprintf("key-%08d", i%keys) }

// fill writes every key once.
func (l *load) fill(ctx context.Context) error {
	const writers = 64
	failed := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < keys && failed[w] == nil; i += writers {
				_, failed[w] = l.clients[i%len(l.clients)].Put(ctx, key(i), l.value)
			}
		})
	}
	all.Wait()
	return first(failed)
}

// run lets so many clients work for a while.
func (l *load) run(ctx context.Context, w workload, window time.Duration) (f figures, err error) {
	before, err := l.cluster.usage()
	if err != nil {
		return f, err
	}
	begun := time.Now()
	var times []time.Duration
	if w.kind == watch {
		times, err = l.watch(ctx, w.clients, window)
	} else {
		times, err = l.closedLoop(ctx, w, window)
	}
	if err != nil {
		return f, err
	}
	took := time.Since(begun)
	after, err := l.cluster.usage()
	if err != nil || len(times) == 0 {
		return f, errors.Join(err, errors.New("nothing was done"))
	}
	slices.Sort(times)
	quantile := func(q float64) float64 { return micro(times[int(q*float64(len(times)-1))]) }
	return figures{
		cpu: micro(after.cpu-before.cpu) / float64(len(times)), rate: float64(len(times)) / took.Seconds(),
		p50: quantile(0.5), p99: quantile(0.99), memory: float64(after.memory) / 1e6,
	}, nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// closedLoop has each client do one operation after another.
func (l *load) closedLoop(ctx context.Context, w workload, window time.Duration) ([]time.Duration, error) {
	var over atomic.Bool
	times, failed := make([][]time.Duration, w.clients), make([]error, w.clients)
	var all sync.WaitGroup
	for id := range w.clients {
		client := l.clients[id%len(l.clients)]
		all.Go(func() {
			for op := id; !over.Load() && failed[id] == nil; op += 7919 {
				begun := time.Now()
				failed[id] = l.do(ctx, client, w.kind, op, len(times[id])%2 == 0)
				times[id] = append(times[id], time.Since(begun))
			}
		})
	}
	time.Sleep(window)
	over.Store(true)
	all.Wait()
	return slices.Concat(times...), first(failed)
}

// do is one operation; of mixed work, an even one is a put.
func (l *load) do(ctx context.Context, c *clientv3.Client, k kind, op int, even bool) (err error) {
	switch {
	case k == put, k == mixed && even:
		_, err = c.Put(ctx, key(op), l.value)
	case k == get, k == mixed:
		_, err = c.Get(ctx, key(op))
	case k == serializable:
		_, err = c.Get(ctx, key(op), clientv3.WithSerializable())
	case k == swap:
		_, err = c.Txn(ctx).If(clientv3.Compare(clientv3.Version(key(op)), ">", 0)).
			Then(clientv3.OpPut(key(op), l.value)).Else(clientv3.OpGet(key(op))).Commit()
	case k == rangeOf1000:
		first := op % (keys - 1000)
		_, err = c.Get(ctx, key(first), clientv3.WithRange(key(first+1000)))
	}
	return err
}

// watch has so many watchers follow one key that one client writes. An operation is
// one event at one watcher, its time that from the put to there.
func (l *load) watch(ctx context.Context, watchers int, window time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const key = "watched"
	times, failed := make([][]time.Duration, watchers), make([]error, watchers)
	var ready, all sync.WaitGroup
	ready.Add(watchers)
	for id := range watchers {
		all.Go(func() {
			events := l.clients[id%len(l.clients)].Watch(ctx, key, clientv3.WithCreatedNotify())
			for first := true; ; first = false {
				got, open := <-events
				if first {
					ready.Done()
				}
				if !open || got.Err() != nil {
					if ctx.Err() == nil {
						failed[id] = errors.Join(errors.New("a watch has ended"), got.Err())
					}
					return
				}
				for _, e := range got.Events {
					var sent time.Time
					if failed[id] = sent.UnmarshalBinary(e.Kv.Value); failed[id] != nil {
						return
					}
					times[id] = append(times[id], time.Since(sent))
				}
			}
		})
	}
	ready.Wait()
	var err error
	for end := time.Now().Add(window); err == nil && time.Now().Before(end); {
		var now []byte
		if now, err = time.Now().MarshalBinary(); err == nil {
			_, err = l.clients[0].Put(ctx, key, string(now))
		}
	}
	cancel()
	all.Wait()
	return slices.Concat(times...), first(append(failed, err))
}
