package kv_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// model is the store as one would explain it: every revision is a whole map.
type model struct {
	revisions []map[string]kv.KV // revision 1 is at 0
	compacted int64
	clock     int64
	sessions  map[kv.SessionID]*modelSession
}

type modelSession struct {
	used    int64
	highest uint64
	answers map[uint64]kv.Result
}

func newModel() *model {
	return &model{revisions: []map[string]kv.KV{{}}, sessions: map[kv.SessionID]*modelSession{}}
}

func (m *model) revision() int64 { return int64(len(m.revisions)) }

func (m *model) apply(index raft.Index, c kv.Command) kv.Result {
	m.clock = max(m.clock, c.Millis)
	if c.Session == 0 {
		return m.do(index, c.Do)
	}
	s := m.sessions[c.Session]
	switch {
	case s == nil:
		return kv.Result{Code: kv.ErrSessionExpired, Revision: m.revision()}
	case c.Sequence+kv.SessionWindow <= s.highest:
		return kv.Result{Code: kv.ErrSequenceTooOld, Revision: m.revision()}
	}
	s.used = m.clock / 1000
	s.highest = max(s.highest, c.Sequence)
	if r, ok := s.answers[c.Sequence]; ok {
		r.Repeated = true
		return r
	}
	r := m.do(index, c.Do)
	s.answers[c.Sequence] = r
	return r
}

func (m *model) do(index raft.Index, action kv.Action) (r kv.Result) {
	switch do := action.(type) {
	case kv.Txn:
		r = m.txn(do)
	case kv.OpenSession:
		r.Session = kv.SessionID(index)
		m.sessions[r.Session] = &modelSession{used: m.clock / 1000, answers: map[uint64]kv.Result{}}
	case kv.CloseSession:
		if m.sessions[do.Session] == nil {
			r.Code = kv.ErrSessionExpired
			break
		}
		delete(m.sessions, do.Session)
		r.Dropped = 1
	case kv.ExpireSessions:
		for id, s := range m.sessions {
			if s.used < do.Before/1000 {
				delete(m.sessions, id)
				r.Dropped++
			}
		}
	case kv.Compact:
		switch {
		case do.Revision > m.revision():
			r.Code = kv.ErrFutureRevision
		case do.Revision <= m.compacted:
			r.Code = kv.ErrCompacted
		default:
			m.compacted = do.Revision
		}
	}
	r.Revision = m.revision()
	return r
}

func (m *model) txn(t kv.Txn) kv.Result {
	now := m.revisions[len(m.revisions)-1]
	r := kv.Result{Succeeded: true}
	for _, c := range t.Compares { // the generator draws only compares of Absent and ModifiedAt
		key := now[string(c.Key)]
		if c.Target == kv.Version {
			r.Succeeded = r.Succeeded && key.Version == c.Value
		} else {
			r.Succeeded = r.Succeeded && key.Mod == c.Value
		}
	}
	ops := t.Then
	if !r.Succeeded {
		ops = t.Else
	}
	next := map[string]kv.KV{}
	for k, v := range now {
		next[k] = v
	}
	changed := false
	for _, op := range ops {
		var out kv.OpResult
		if op.Kind == kv.OpPut {
			key := next[string(op.Key)]
			out.Previous = key.Mod
			if key.Create == 0 {
				key = kv.KV{Key: op.Key, Create: m.revision() + 1}
			}
			key.Value, key.Mod, key.Version = op.Value, m.revision()+1, key.Version+1
			next[string(op.Key)] = key
			changed = true
		} else {
			for k := range next {
				one, endless := len(op.End) == 0, string(op.End) == "\x00"
				if k == string(op.Key) && one || k >= string(op.Key) && (endless || !one && k < string(op.End)) {
					delete(next, k)
					out.Deleted++
					changed = true
				}
			}
		}
		r.Ops = append(r.Ops, out)
	}
	if changed {
		m.revisions = append(m.revisions, next)
	}
	return r
}

// drawCommand draws from few keys, sessions and numbers, so that commands meet.
func drawCommand(t *rapid.T, m *model) kv.Command {
	key := rapid.Custom(func(t *rapid.T) []byte {
		return []byte(rapid.SampledFrom([]string{"a", "a\x00", "a\x00\x01", "ab", "b", "\xff"}).Draw(t, "key"))
	})
	op := rapid.Custom(func(t *rapid.T) kv.Op {
		switch k := key.Draw(t, "op"); rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return kv.Delete(k)
		case 1:
			return kv.DeleteRange(k, rapid.SampledFrom([][]byte{kv.NoEnd, []byte("b")}).Draw(t, "end"))
		default:
			return kv.Put(k, rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value"))
		}
	})
	compare := rapid.Custom(func(t *rapid.T) kv.Compare {
		k := key.Draw(t, "compare")
		if rapid.Bool().Draw(t, "absent") {
			return kv.Absent(k)
		}
		return kv.ModifiedAt(k, rapid.Int64Range(0, m.revision()).Draw(t, "mod"))
	})
	session := rapid.Custom(func(t *rapid.T) kv.SessionID {
		ids := []kv.SessionID{1 << 40}
		for id := range m.sessions {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return rapid.SampledFrom(ids).Draw(t, "session")
	})
	c := kv.Command{Millis: rapid.Int64Range(0, 9_000).Draw(t, "millis")}
	switch rapid.IntRange(0, 15).Draw(t, "action") {
	case 0, 1:
		c.Do = kv.OpenSession{}
	case 2:
		c.Do = kv.CloseSession{Session: session.Draw(t, "close")}
	case 3:
		c.Do = kv.ExpireSessions{Before: rapid.Int64Range(0, 9_000).Draw(t, "before")}
	case 4:
		c.Do = kv.Compact{Revision: rapid.Int64Range(0, m.revision()+1).Draw(t, "compact")}
	default:
		c.Do = kv.Txn{
			Compares: rapid.SliceOfN(compare, 0, 2).Draw(t, "compares"),
			Then:     rapid.SliceOfN(op, 0, 3).Draw(t, "then"),
			Else:     rapid.SliceOfN(op, 0, 1).Draw(t, "else"),
		}
		if rapid.Bool().Draw(t, "in a session") {
			c.Session, c.Sequence = session.Draw(t, "of"), rapid.Uint64Range(1, 50).Draw(t, "sequence")
		}
	}
	return c
}

// TestAgainstModel applies the same log to the model, to a member in memory and to
// one on a disk that crashes, is restarted, and replays.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, memory := newModel(), inMemory(t)
		disk := &crashing{fs: vfs.NewCrashableMem()}
		disk.open(t)
		defer func() { disk.close(t) }()
		var log [][]byte
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			from := len(log)
			var want []kv.Result
			for range rapid.IntRange(1, 12).Draw(t, "batch") {
				c := drawCommand(t, m)
				log = append(log, c.Encode())
				if c.Check() != nil {
					want = append(want, kv.Result{Code: c.Check().(kv.Code), Revision: m.revision()})
				} else {
					want = append(want, m.apply(raft.Index(len(log)), c))
				}
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
	})
}

func equal(t fataler, what string, got, want *kv.Result) {
	t.Helper()
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", *want) {
		t.Fatalf("%s: %+v, want %+v", what, *got, *want)
	}
}

// compareHistory reads everything at every revision.
func compareHistory(t fataler, want *model, m *member) {
	t.Helper()
	for revision := int64(1); revision <= want.revision(); revision++ {
		page, err := m.Range(kv.Query{End: kv.NoEnd, Revision: revision})
		if revision < want.compacted {
			if err != kv.ErrCompacted {
				t.Fatalf("at %d, compacted at %d: %v", revision, want.compacted, err)
			}
			continue
		}
		state := want.revisions[revision-1]
		if err != nil || len(page.KVs) != len(state) || page.Revision != want.revision() {
			t.Fatalf("at %d: %+v, %v; want %+v", revision, page, err, state)
		}
		for _, got := range page.KVs {
			if w := state[string(got.Key)]; fmt.Sprint(got) != fmt.Sprint(w) {
				t.Fatalf("at %d: %v, want %v", revision, got, w)
			}
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
