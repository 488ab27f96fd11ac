package quorate_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
)

// everyWay asks a group for something in all ways that wait for a leader.
func everyWay(t *testing.T, g *quorate.Group, nodes *quoratetest.Cluster, check func(way string, err error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // of a bubble
	defer cancel()
	_, err := g.Propose(ctx, []byte("x"))
	check("Propose", err)
	_, err = g.Ask(ctx, []byte("x"))
	check("Ask", err)
	_, err = g.Read(ctx)
	check("Read", err)
	check("Change", g.Change(ctx, membership.Change{Kind: membership.Add, Member: nodes.Member(9)}))
	check("Leave", g.Leave(ctx))
	check("Transfer", g.Transfer(ctx, 0))
}

// A group that has stopped here hears of no leader any more: who waits for one is told
// so, and does not wait for good.
func TestNobodyWaitsForTheLeaderOfAGroupThatHasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(node int) quorate.StateMachine { return &sage{node: node} })
		leader := c.Leader()
		g, host := c.Group(leader%3+1), c.Host(leader%3+1)
		c.Kill(leader)
		c.Kill((leader+1)%3 + 1)
		time.Sleep(time.Second)
		if node, _ := g.Leader(); node != 0 {
			t.Fatalf("of two nodes that were killed %d leads", node)
		}
		if err := host.Remove(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		everyWay(t, g, c, func(way string, err error) {
			if !errors.Is(err, quorate.ErrStopped) {
				t.Errorf("%s says %v", way, err)
			}
		})
	})
}

// Nor does anybody whose whole host has failed, although others lead.
func TestNobodyWaitsForTheLeaderOnAHostThatHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Int64
		c := quoratetest.NewCluster(t, 3, func(node int) quorate.StateMachine { return &sage{node: node} }, func(cfg *quorate.Config) {
			node := int64(cfg.ID)
			cfg.FS = vfs.Inject(cfg.FS, func(op vfs.Op, path string) error {
				if op == vfs.OpSync && broken.Load() == node && strings.HasSuffix(path, ".wal") {
					return syscall.EIO
				}
				return nil
			})
		})
		leader := c.Leader()
		bad := leader%3 + 1
		broken.Store(int64(bad))
		if _, err := c.Group(leader).Propose(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		<-c.Host(bad).Failed()
		time.Sleep(time.Second) // it hangs up on the others
		everyWay(t, c.Group(bad), c, func(way string, err error) {
			if !errors.Is(err, quorate.ErrStopped) {
				t.Errorf("%s says %v", way, err)
			}
		})
		c.Kill(bad) // to close it would return its failure
	})
}

// dam is an observer that holds up the loop of a host once, before it says that its node
// leads no more.
type dam struct {
	quorate.Observer
	armed atomic.Bool
}

func (g *dam) Recovered(quorate.GroupID, *raft.Saved, raft.Index) {}
func (g *dam) Durable([]codec.Record)                             {}
func (g *dam) Applied(quorate.GroupID, []raft.Entry)              {}
func (g *dam) Restored(quorate.GroupID, raft.EntryID)             {}

func (g *dam) Decided(_ quorate.GroupID, core *raft.Raft, _ *raft.Effects) {
	if core.Brief().Role != raft.Leader && g.armed.CompareAndSwap(true, false) {
		time.Sleep(time.Second)
	}
}

// A leader that has stepped down for the one it gives way to says nothing else of it.
func TestATransferThatSucceedsIsNotCalledFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gates := map[quorate.NodeID]*dam{}
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &list{} }, func(cfg *quorate.Config) {
			gates[cfg.ID] = &dam{}
			cfg.Observer = gates[cfg.ID]
		})
		leader := c.Leader()
		gates[quorate.NodeID(leader)].armed.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Group(leader).Transfer(ctx, quorate.NodeID(leader%3+1)); err != nil {
			t.Error(err)
		}
		if gates[quorate.NodeID(leader)].armed.Load() {
			t.Error("the leader did not step down")
		}
	})
}
