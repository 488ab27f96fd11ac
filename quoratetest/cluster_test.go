package quoratetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft/membership"
)

// words remembers what it was told.
type words struct {
	mu  sync.Mutex // the test looks while the host applies
	all []string
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, " ")
}

func (w *words) Apply(batch []quorate.Command) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range batch {
		w.all = append(w.all, string(batch[i].Data))
		batch[i].Result = len(w.all)
	}
	return nil
}

type page struct{ *strings.Reader }

func (page) Close() error { return nil }

func (w *words) Snapshot() (quorate.View, error) { return page{strings.NewReader(w.String())}, nil }

func (w *words) Restore(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = strings.Fields(string(text))
	return nil
}

// must proposes, and it must succeed.
func must(t *testing.T, c *quoratetest.Cluster, command string) {
	t.Helper()
	if _, err := c.Propose(t.Context(), []byte(command)); err != nil {
		t.Fatalf("proposing %q: %v", command, err)
	}
}

// has reads on a node, which must have applied all of the words and no others.
func has(t *testing.T, c *quoratetest.Cluster, node int, want string) {
	t.Helper()
	if _, err := c.Group(node).Read(t.Context()); err != nil {
		t.Fatalf("reading on node %d: %v", node, err)
	}
	if got := c.Machine(node).(*words).String(); got != want {
		t.Errorf("node %d has %q, want %q", node, got, want)
	}
}

// in runs a test in a bubble with a cluster of three.
func in(t *testing.T, story func(*testing.T, *quoratetest.Cluster), adjust ...func(*quorate.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		story(t, quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &words{} }, adjust...))
	})
}

func TestAPowerCutOfAllLosesNothingThatWasAcknowledged(t *testing.T) {
	in(t, func(t *testing.T, c *quoratetest.Cluster) {
		want := ""
		for i := range 20 {
			must(t, c, fmt.Sprint(i))
			want = strings.TrimSpace(fmt.Sprint(want, " ", i))
		}
		for node := 1; node <= 3; node++ {
			c.Kill(node)
		}
		if _, err := c.Propose(t.Context(), nil); !errors.Is(err, quorate.ErrNoLeader) {
			t.Errorf("with all nodes down: %v", err)
		}
		for node := 1; node <= 3; node++ {
			c.Restart(node)
		}
		for node := 1; node <= 3; node++ {
			has(t, c, node, want)
		}
	})
}

func TestAKilledLeaderIsReplaced(t *testing.T) {
	in(t, func(t *testing.T, c *quoratetest.Cluster) {
		for range 3 {
			must(t, c, "x")
			old := c.Leader()
			c.Kill(old)
			if now := c.Leader(); now == old {
				t.Fatalf("node %d leads, and is down", old)
			}
			c.Restart(old)
		}
		for node := 1; node <= 3; node++ {
			has(t, c, node, "x x x")
		}
	})
}

func TestClientsGoOnWhileNodesComeAndGo(t *testing.T) {
	in(t, func(t *testing.T, c *quoratetest.Cluster) {
		var clients sync.WaitGroup
		acknowledged := make([]int, 4)
		for client := range acknowledged {
			clients.Go(func() {
				for i := range 40 {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					if _, err := c.Propose(ctx, fmt.Appendf(nil, "%d-%d", client, i)); err == nil {
						acknowledged[client]++
					}
					cancel()
				}
			})
		}
		for range 3 {
			time.Sleep(100 * time.Millisecond)
			victim := c.Leader()
			c.Kill(victim)
			time.Sleep(200 * time.Millisecond)
			c.Restart(victim)
			c.Cut(c.Leader())
			time.Sleep(400 * time.Millisecond)
			c.Heal()
		}
		clients.Wait()
		must(t, c, "last")
		if _, err := c.Group(1).Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, least := c.Machine(1).(*words).String(), 1
		for _, n := range acknowledged {
			least += n
		}
		if got := len(strings.Fields(want)); got < least || least < 20 {
			t.Errorf("%d commands were acknowledged, %d carried out", least, got)
		}
		has(t, c, 2, want)
		has(t, c, 3, want)
	})
}

func TestANodeThatMissedTooMuchGetsASnapshot(t *testing.T) {
	compact := func(cfg *quorate.Config) { cfg.SnapshotEntries = 20 }
	in(t, func(t *testing.T, c *quoratetest.Cluster) {
		behind := c.Leader()%3 + 1
		c.Cut(behind)
		want := make([]string, 200)
		for i := range want {
			want[i] = fmt.Sprint(i)
			must(t, c, want[i])
		}
		if base := c.Group(c.Leader()).Status().Base.Index; base < 100 {
			t.Fatalf("the leader's log begins at %d, so that it need not send a snapshot", base)
		}
		c.Heal()
		has(t, c, behind, strings.Join(want, " "))
	}, compact)
}

func TestANodeJoins(t *testing.T) {
	in(t, func(t *testing.T, c *quoratetest.Cluster) {
		must(t, c, "before")
		fourth := c.Add()
		for _, kind := range []membership.ChangeKind{membership.Add, membership.Promote} {
			if err := c.Group(1).Change(t.Context(), membership.Change{Kind: kind, Member: c.Member(fourth)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // it catches up
		}
		c.Kill(1)
		c.Kill(2)
		if !c.Group(fourth).Status().Config.Voter(quorate.NodeID(fourth)) {
			t.Error("the new node has no vote")
		}
		c.Restart(2)
		must(t, c, "after")
		has(t, c, fourth, "before after")
	})
}

func TestNodesThatAreCutOffTogetherReachEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 5, func(int) quorate.StateMachine { return &words{} })
		c.Cut(1, 2, 3)
		must(t, c, "most")
		if leader := c.Leader(); leader > 3 {
			t.Errorf("node %d leads from the smaller side", leader)
		}
		c.Cut(1) // and the larger side falls apart
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Group(2).Propose(ctx, []byte("few")); err == nil {
			t.Error("two of five have decided something")
		}
	})
}

// verdict is a test that can fail without the real one.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper() {}
func (v *verdict) Fatalf(format string, args ...any) {
	v.said = fmt.Sprintf(format, args...)
	panic(v)
}

// on runs something that is to fail.
func (v *verdict) on(test func()) {
	v.said = ""
	defer func() { _ = recover() }()
	test()
}

func TestWhatCannotBeFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verdict{TB: t}
		c := quoratetest.NewCluster(v, 3, func(int) quorate.StateMachine { return &words{} })
		c.Kill(1)
		c.Kill(2)
		for want, test := range map[string]func(){
			"for 1m0s no node has led a majority": func() { c.Leader() },
			"node 1 is down":                      func() { c.Group(1) },
			"there is no node 4":                  func() { c.Kill(4) },
		} {
			if v.on(test); !strings.Contains(v.said, want) {
				t.Errorf("want a test that fails with %q, it says %q", want, v.said)
			}
		}
	})
}
