package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.uber.org/zap"
)

// connect is etcd's own client.
func connect(t *testing.T, addresses ...string) *clientv3.Client {
	t.Helper()
	for _, a := range addresses {
		dial(t, a)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: addresses, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func found(r *clientv3.GetResponse) (keys []string) {
	for _, k := range r.Kvs {
		keys = append(keys, fmt.Sprintf("%s=%s@%d", k.Key, k.Value, k.ModRevision))
	}
	return keys
}

// etcd's client finds on one node, and on each of three, what it would find on etcd.
func TestClientReadsAndWrites(t *testing.T) {
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			addresses, _ := startQuorate(t, size)
			c := connect(t, addresses...)
			readsAndWrites(t, c, t.Context())
			for _, a := range addresses {
				got, err := connect(t, a).Get(t.Context(), "", clientv3.WithPrefix())
				if want := []string{"a=3@7", "c=1@4"}; err != nil || !slices.Equal(found(got), want) {
					t.Errorf("%s: %v, %v; want %v", a, found(got), err, want)
				}
			}
		})
	}
}

func readsAndWrites(t *testing.T, c *clientv3.Client, ctx context.Context) {
	for _, k := range []string{"a", "b", "c"} {
		if _, err := c.Put(ctx, k, "1"); err != nil {
			t.Fatal(err)
		}
	}
	gets := []struct {
		key  string
		opts []clientv3.OpOption
		want []string
	}{
		{"a", nil, []string{"a=1@2"}},
		{"", []clientv3.OpOption{clientv3.WithPrefix()}, []string{"a=1@2", "b=1@3", "c=1@4"}},
		{"b", []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithLimit(1)}, []string{"b=1@3"}},
		{"", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(3)}, []string{"a=1@2", "b=1@3"}},
		{"", clientv3.WithLastCreate(), []string{"c=1@4"}},
		{"", append(clientv3.WithLastRev(), clientv3.WithMaxModRev(3)), []string{"b=1@3"}},
		{"", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMinModRev(4)}, []string{"c=@4"}},
	}
	for i, g := range gets {
		got, err := c.Get(ctx, g.key, g.opts...)
		if err != nil || !slices.Equal(found(got), g.want) {
			t.Errorf("get %d: %v, %v; want %v", i, found(got), err, g.want)
		}
	}
	replaced, err := c.Put(ctx, "a", "2", clientv3.WithPrevKV())
	if err != nil || string(replaced.PrevKv.Value) != "1" {
		t.Errorf("%v, %v", replaced, err)
	}
	deleted, err := c.Delete(ctx, "b", clientv3.WithPrevKV())
	if err != nil || deleted.Deleted != 1 || string(deleted.PrevKvs[0].Key) != "b" {
		t.Errorf("%v, %v", deleted, err)
	}
	done, err := c.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("a"), "=", "2"), clientv3.Compare(clientv3.CreateRevision("c"), ">", 3)).
		Then(clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Version("b"), "=", 0)},
			[]clientv3.Op{clientv3.OpPut("a", "3"), clientv3.OpGet("a")}, nil)).
		Commit()
	if err != nil || !done.Succeeded || string(done.Responses[0].GetResponseTxn().Responses[1].GetResponseRange().Kvs[0].Value) != "3" {
		t.Errorf("%v, %v", done, err)
	}
}

// The errors of etcd's client are the ones that programs compare with.
func TestClientErrors(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	c := connect(t, addresses...)
	for range 3 {
		if _, err := c.Put(t.Context(), "a", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Compact(t.Context(), 3, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	get := func(revision int64) error { _, err := c.Get(t.Context(), "a", clientv3.WithRev(revision)); return err }
	put := func(key string, opts ...clientv3.OpOption) error {
		_, err := c.Put(t.Context(), key, "", opts...)
		return err
	}
	twice := func() error {
		_, err := c.Txn(t.Context()).Then(clientv3.OpPut("a", "1"), clientv3.OpPut("a", "2")).Commit()
		return err
	}
	for _, e := range []struct{ got, want error }{
		{get(2), rpctypes.ErrCompacted},
		{get(9), rpctypes.ErrFutureRev},
		{put(""), rpctypes.ErrEmptyKey},
		{put("a", clientv3.WithLease(5)), rpctypes.ErrLeaseNotFound},
		{put("b", clientv3.WithIgnoreValue()), rpctypes.ErrKeyNotFound},
		{twice(), rpctypes.ErrDuplicateKey},
	} {
		if !errors.Is(e.got, e.want) {
			t.Errorf("%v, want %v", e.got, e.want)
		}
	}
}

// A client of three nodes goes on when one of them, the leader, is gone.
func TestClientOutlivesTheLeader(t *testing.T) {
	addresses, stops := startQuorate(t, 3)
	c := connect(t, addresses...)
	members, err := c.MemberList(t.Context())
	if err != nil || len(members.Members) != 3 {
		t.Fatalf("%v, %v", members, err)
	}
	kv := namespace.NewKV(c, "ns/")
	if _, err := kv.Put(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	for i, address := range addresses {
		status, err := c.Status(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if status.Leader == status.Header.MemberId {
			stops[i]()
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range 20 {
		// The client repeats reads, on another node if need be.
		if got, err := kv.Get(ctx, "a"); err != nil || len(got.Kvs) != 1 {
			t.Fatalf("get %d: %v, %v", i, got, err)
		}
	}
	if _, err := kv.Put(ctx, "a", "2"); err != nil {
		t.Error(err)
	}
}
