package kv_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// Scenario K07: the process dies at each write of the disk while keys are written and
// compacted. What it finds is no older than the last sync; its revision belongs to the
// last command that it says it has applied; and from there the log leads to the same
// state again.
func TestK07RevisionsDoNotGoBackInACrash(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := &remains{disk: disk, rng: rand.New(rand.NewPCG(1, 7))}
	var actions []kv.Action
	for i := range 40 {
		actions = append(actions, then(put(fmt.Sprint("k", i%5), fmt.Sprint(i)), put("last", fmt.Sprint(i))))
		if i%8 == 7 {
			actions = append(actions, kv.Compact{Revision: int64(i)})
		}
	}
	d := openDisk(t, errorfs.Wrap(disk, c))
	m := newMember(t, d)
	revisions := map[raft.Index]int64{0: revision(t, m)}
	for i, action := range actions {
		m.do(t, action)
		revisions[m.index] = revision(t, m)
		if i%10 == 9 {
			if err := m.Sync(); err != nil {
				t.Fatal(err)
			}
			c.keep(m.index)
		}
	}
	want := m.hash(t)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if len(c.left) < 50 {
		t.Fatalf("only %d crashes", len(c.left))
	}
	for i, left := range c.left {
		d := openDisk(t, left.disk)
		m := newMember(t, d)
		if m.index < left.synced || revision(t, m) != revisions[m.index] {
			t.Errorf("crash %d: at command %d, synced were %d; revision %d, it was %d", i, m.index, left.synced, revision(t, m), revisions[m.index])
		}
		m.do(t, actions[m.index:]...)
		if got := m.hash(t); got != want {
			t.Errorf("crash %d: the log leads to another state than before", i)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func revision(t *testing.T, m *member) int64 {
	t.Helper()
	s, err := m.State()
	if err != nil {
		t.Fatal(err)
	}
	return s.Revision
}

// remains takes, before each write of the disk, what a crash there would leave.
type remains struct {
	disk *vfs.MemFS
	mu   sync.Mutex
	rng  *rand.Rand
	at   raft.Index // synced
	left []remainder
}

type remainder struct {
	disk   *vfs.MemFS
	synced raft.Index
}

func (r *remains) keep(synced raft.Index) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = synced
}

func (r *remains) String() string { return "remains" }

func (r *remains) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, percent := range []int{0, 60} {
		r.left = append(r.left, remainder{r.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r.rng}), r.at})
	}
	return nil
}
