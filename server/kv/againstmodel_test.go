package kv_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
)

// TestAgainstModel applies the same log to the model, to a member in memory and to
// one on a disk that crashes, is restarted, and replays.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, memory := model.New(), inMemory(t)
		disk := &crashing{fs: vfs.NewCrashableMem()}
		disk.open(t)
		defer func() { disk.close(t) }()
		var log [][]byte
		if rapid.Bool().Draw(t, "guarded") {
			for _, do := range guarding {
				c := kv.Command{By: kv.ThisNode, Do: do}
				log = append(log, c.Encode())
				equal(t, "a guard", memory.raw(t, c.Encode())[0], new(m.Apply(raft.Index(len(log)), c)))
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			from := len(log)
			var want []kv.Result
			for range rapid.IntRange(1, 12).Draw(t, "batch") {
				c := drawing{t, m}.command()
				log = append(log, c.Encode())
				want = append(want, m.Apply(raft.Index(len(log)), c))
			}
			for i, got := range memory.raw(t, log[from:]...) {
				equal(t, fmt.Sprintf("command %d in memory", from+i+1), got, &want[i])
			}
			disk.replay(t, log)
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				disk.restart(t)
			case 1:
				disk.crash(t, rapid.Uint64().Draw(t, "seed"))
			case 2:
				if err := disk.Sync(); err != nil {
					t.Fatalf("Sync: %v", err)
				}
			case 3:
				if err := disk.Restore(bytes.NewReader(memory.snapshot(t))); err != nil {
					t.Fatalf("Restore: %v", err)
				}
			}
		}
		disk.replay(t, log)
		if a, b := memory.hash(t), disk.hash(t); a != b {
			t.Fatalf("memory %+v, disk %+v", a, b)
		}
		compareHistory(t, m, memory)
		compareHistory(t, m, disk.member)
		compareStates(t, m, memory)
		compareStates(t, m, disk.member)
		compareLeases(t, m, memory)
		compareLeases(t, m, disk.member)
		compareRead(t, m, memory)
		compareRead(t, m, disk.member)
		weighed(t, memory)
		weighed(t, disk.member)
	})
}

func equal(t fataler, what string, got, want *kv.Result) {
	t.Helper()
	if g, w := model.Text(got), model.Text(want); g != w {
		t.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// compareHistory reads everything at every revision.
func compareHistory(t fataler, want *model.Store, m *member) {
	t.Helper()
	for revision := int64(1); revision <= want.Revision(); revision++ {
		page, err := m.Range(kv.Query{End: kv.NoEnd, Revision: revision})
		if revision < want.Compacted {
			if err != kv.ErrCompacted {
				t.Fatalf("at %d, compacted at %d: %v", revision, want.Compacted, err)
			}
			continue
		}
		state := want.Revisions[revision-1]
		if err != nil || len(page.KVs) != len(state) || page.Revision != want.Revision() {
			t.Fatalf("at %d: %+v, %v; want %+v", revision, page, err, state)
		}
		for _, got := range page.KVs {
			if w := state[string(got.Key)]; model.KeysText([]kv.KV{got}) != model.KeysText([]kv.KV{w}) {
				t.Fatalf("at %d: %v, want %v", revision, got, w)
			}
		}
	}
}

// compareStates compares what counts and what is counted.
func compareStates(t *rapid.T, want *model.Store, m *member) {
	t.Helper()
	got := state(t, m)
	got.Swept = 0
	if w := want.State(got.Applied); got != w {
		t.Fatalf("the state is %+v, want %+v", got, w)
	}
	d := drawing{t, want}
	q, by := d.query(), d.caller()
	q.Revision = d.near("revision")
	page, err := m.For(by).Range(q)
	if code, refused := err.(kv.Code); err != nil && (!refused || code == kv.OK) {
		t.Fatalf("Range: %v", err)
	}
	if shown, again := visited(m.For(by), q); model.PageText(&shown) != model.PageText(&page) || again != err {
		t.Fatalf("a visit of %+v shows %s %v, want %s %v", q, model.PageText(&shown), again, model.PageText(&page), err)
	}
	w, refusal := want.Range(got.Applied, by, q)
	if got, want := model.PageText(&page), model.PageText(&w); got != want || err != refusal {
		t.Fatalf("%+v for %+v:\n got %s %v\nwant %s %v", q, by, got, err, want, refusal)
	}
}

// visited is the page of a range with the keys that a visit shows.
func visited(by kv.Reads, q kv.Query) (kv.Page, error) {
	var keys []kv.KV
	page, err := by.Visit(q, func(k *kv.KV) {
		one := *k
		one.Key, one.Value = bytes.Clone(k.Key), bytes.Clone(k.Value)
		keys = append(keys, one)
	})
	page.KVs = append(page.KVs, keys...)
	return page, err
}

// compareLeases reads what is left of the leases.
func compareLeases(t fataler, want *model.Store, m *member) {
	t.Helper()
	var all []kv.Grant
	for _, g := range want.Leases {
		all = append(all, g)
		keys, err := m.LeaseKeys(g.ID)
		if got, w := fmt.Sprintf("%q", keys), fmt.Sprintf("%q", want.Attached(g.ID)); err != nil || got != w {
			t.Fatalf("lease %d has keys %s, %v; want %s", g.ID, got, err, w)
		}
		if one, err := m.Lease(g.ID); err != nil || one == nil || *one != g {
			t.Fatalf("lease %d: %+v, %v; want %+v", g.ID, one, err, g)
		}
	}
	if noted, err := m.Noted(); err != nil || noted != want.Noted {
		t.Fatalf("noted at %d, %v; want %d", noted, err, want.Noted)
	}
	slices.SortFunc(all, func(a, b kv.Grant) int { return cmp.Compare(a.Index, b.Index) })
	state, err := m.State()
	if err != nil || state.Leases != int64(len(all)) {
		t.Fatalf("%d leases, %v; want %d", state.Leases, err, len(all))
	}
	for i := range len(all) + 1 {
		after := raft.Index(0)
		if i > 0 {
			after = all[i-1].Index
		}
		if got, err := m.Leases(after); err != nil || !slices.Equal(got, all[i:]) {
			t.Fatalf("granted after %d: %+v, %v; want %+v", after, got, err, all[i:])
		}
	}
}

// crashing is a member on a disk that forgets what was not synced.
type crashing struct {
	*member
	fs    *vfs.MemFS
	store interface{ Close() error }
}

func (c *crashing) open(t fataler) {
	t.Helper()
	d := openDisk(t, c.fs)
	c.store, c.member = d, newMember(t, d)
}

func (c *crashing) close(t fataler) {
	t.Helper()
	if err := c.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func (c *crashing) restart(t fataler) {
	t.Helper()
	before := c.hash(t)
	c.close(t)
	c.open(t)
	if after := c.hash(t); after != before {
		t.Fatalf("before the restart %+v, after %+v", before, after)
	}
}

func (c *crashing) crash(t fataler, seed uint64) {
	t.Helper()
	fs := c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 0))})
	c.close(t)
	c.fs = fs
	c.open(t)
}

// replay applies the log from a little before the place where the member is, as a
// host does that does not remember it exactly.
func (c *crashing) replay(t fataler, log [][]byte) {
	t.Helper()
	var batch []quorate.Command
	for i := max(0, int(c.Applied())-5); i < len(log); i++ {
		batch = append(batch, quorate.Command{Index: raft.Index(i + 1), Data: log[i]})
	}
	if err := c.Apply(batch); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// compareRead reads with a transaction, which must find what the model does.
func compareRead(t *rapid.T, m *model.Store, on *member) {
	t.Helper()
	txn := kv.Txn{Compares: []kv.Compare{drawing{t, m}.compare()}}
	for range 3 {
		txn.Then = append(txn.Then, drawing{t, m}.query())
		txn.Else = append(txn.Else, kv.Txn{Then: []kv.Op{drawing{t, m}.query()}})
	}
	want := m.Read(txn)
	got, err := on.Read(txn)
	if want.Code != kv.OK {
		if err != want.Code {
			t.Fatalf("Read: %v, want %v", err, want.Code)
		}
		return
	}
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	equal(t, "Read", got, &want)
}
