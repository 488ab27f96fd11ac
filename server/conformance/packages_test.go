package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/ordering"
)

// visitor is a program that uses packages of etcd's client, and notes what it sees.
type visitor struct {
	*testing.T
	ctx    context.Context
	nodes  []string
	client *clientv3.Client
	seen   []string
}

func (v *visitor) note(format string, args ...any) {
	v.seen = append(v.seen, strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

func (v *visitor) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// Programs built on packages of etcd's client see on one node, and on three, what
// they see on etcd.
func TestSamePackages(t *testing.T) {
	one, _ := startQuorate(t, 1)
	three, _ := startQuorate(t, 3)
	for name, visit := range map[string]func(*visitor){
		"leasing": (*visitor).leases, "ordering": (*visitor).orders, "mirror": (*visitor).mirrors,
		"naming": (*visitor).names, "kubernetes": (*visitor).orchestrates,
	} {
		t.Run(name, func(t *testing.T) {
			var all [][]string
			for _, nodes := range [][]string{{startEtcd(t)}, one, three} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				v := &visitor{T: t, ctx: ctx, nodes: nodes, client: connect(t, nodes...)}
				visit(v)
				cancel()
				all = append(all, v.seen)
			}
			for _, seen := range all[1:] {
				if !slices.Equal(all[0], seen) {
					t.Errorf("etcd    %q\nquorate %q", all[0], seen)
				}
			}
		})
	}
}

// Two caches of the same keys: what one changes, the other forgets.
func (v *visitor) leases() {
	a, closeA, err := leasing.NewKV(v.client, "lease/")
	v.must(err)
	defer closeA()
	b, closeB, err := leasing.NewKV(connect(v.T, v.nodes[len(v.nodes)-1]), "lease/")
	v.must(err)
	defer closeB()
	for i := range 3 {
		for _, kv := range []clientv3.KV{a, b} {
			_, err := kv.Put(v.ctx, "x", fmt.Sprint(i))
			v.must(err)
			got, err := a.Get(v.ctx, "x")
			v.must(err)
			v.note("%s", got.Kvs[0].Value)
		}
		won, err := b.Txn(v.ctx).If(clientv3.Compare(clientv3.Value("x"), "=", fmt.Sprint(i))).Then(clientv3.OpPut("y", "1"), clientv3.OpGet("x")).Commit()
		v.must(err)
		lost, err := a.Txn(v.ctx).If(clientv3.Compare(clientv3.Value("x"), "=", "no")).Else(clientv3.OpDelete("y"), clientv3.OpGet("x")).Commit()
		v.must(err)
		gone, err := b.Delete(v.ctx, "x", clientv3.WithPrefix())
		v.must(err)
		v.note("%v %v %d", won.Succeeded, lost.Succeeded, gone.Deleted)
	}
}

// No read is older than one before it, on whichever node.
func (v *visitor) orders() {
	kv := ordering.NewKV(v.client, func(clientv3.Op, clientv3.OpResponse, int64) error { return errors.New("an older revision") })
	for i := range 30 {
		_, err := kv.Put(v.ctx, "o", fmt.Sprint(i))
		v.must(err)
		got, err := kv.Get(v.ctx, "o")
		v.must(err)
		v.note("%s", got.Kvs[0].Value)
	}
}

func (v *visitor) mirrors() {
	for i := range 1100 { // more than a page
		_, err := v.client.Put(v.ctx, fmt.Sprintf("mirror/%04d", i), "v")
		v.must(err)
	}
	syncer := mirror.NewSyncer(v.client, "mirror/", 0)
	pages, failed := syncer.SyncBase(v.ctx)
	n := 0
	for page := range pages {
		n += len(page.Kvs)
	}
	v.must(<-failed)
	updates := syncer.SyncUpdates(v.ctx)
	_, err := v.client.Put(v.ctx, "mirror/later", "v")
	v.must(err)
	v.note("%d, then %s", n, (<-updates).Events[0].Kv.Key)
}

func (v *visitor) names() {
	names, err := endpoints.NewManager(v.client, "service")
	v.must(err)
	changes, err := names.NewWatchChannel(v.ctx)
	v.must(err)
	lease, err := v.client.Grant(v.ctx, 60)
	v.must(err)
	v.must(names.AddEndpoint(v.ctx, "service/a", endpoints.Endpoint{Addr: "127.0.0.1:1"}, clientv3.WithLease(lease.ID)))
	come := <-changes
	v.caughtUp("service/a")
	list, err := names.List(v.ctx) // a serializable read, of any node
	v.must(err)
	_, err = v.client.Revoke(v.ctx, lease.ID)
	v.must(err)
	left := <-changes
	v.note("%v %s, %v, %v %s", come[0].Op, come[0].Key, list, left[0].Op, left[0].Key)
}

// caughtUp has every node come as far as the cluster has, by a linearizable read there.
func (v *visitor) caughtUp(key string) {
	for _, node := range v.nodes {
		_, err := connect(v.T, node).Get(v.ctx, key)
		v.must(err)
	}
}

// orchestrates makes the requests of kube-apiserver, in their shapes.
func (v *visitor) orchestrates() {
	c, err := kubernetes.New(clientv3.Config{Endpoints: v.nodes})
	v.must(err)
	defer c.Close()
	k, ctx := c.Kubernetes, clientv3.WithRequireLeader(v.ctx)
	for i := range 7 {
		put, err := k.OptimisticPut(ctx, fmt.Sprint("/registry/pods/", i), []byte("v"), 0, kubernetes.PutOptions{GetOnFailure: true})
		v.must(err)
		v.note("%v", put.Succeeded)
	}
	stale, err := k.OptimisticPut(ctx, "/registry/pods/1", []byte("w"), 1, kubernetes.PutOptions{GetOnFailure: true})
	v.must(err)
	gone, err := k.OptimisticDelete(ctx, "/registry/pods/1", stale.KV.ModRevision, kubernetes.DeleteOptions{GetOnFailure: true})
	v.must(err)
	count, err := k.Count(ctx, "/registry/pods/", kubernetes.CountOptions{})
	v.must(err)
	first, err := k.List(ctx, "/registry/pods/", kubernetes.ListOptions{Limit: 3})
	v.must(err)
	rest, err := k.List(ctx, "/registry/pods/", kubernetes.ListOptions{Limit: 9, Revision: first.Revision, Continue: string(first.Kvs[2].Key) + "\x00"})
	v.must(err)
	one, err := k.Get(ctx, "/registry/pods/0", kubernetes.GetOptions{Revision: first.Revision})
	v.must(err)
	v.note("%v %s %v, %d, %d of %d, %d of %d, %s", stale.Succeeded, stale.KV.Value, gone.Succeeded, count, len(first.Kvs), first.Count, len(rest.Kvs), rest.Count, one.KV.Value)
	events := c.Watch(ctx, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithRev(first.Revision+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify())
	put, err := k.OptimisticPut(ctx, "/registry/pods/0", []byte("w"), one.KV.ModRevision, kubernetes.PutOptions{})
	v.must(err)
	told := (<-events).Events[0]
	v.must(c.RequestProgress(ctx))
	progress := <-events
	v.note("%s after %s, progress %v of %d", told.Kv.Value, told.PrevKv.Value, progress.IsProgressNotify(), progress.Header.Revision-put.Revision)
	_, err = c.Compact(ctx, put.Revision)
	v.must(err)
	_, err = k.List(ctx, "/registry/pods/", kubernetes.ListOptions{Revision: first.Revision})
	v.note("%v", err)
}
