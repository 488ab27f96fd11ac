// Package simulate lets the simulator replicate the real key-value store: the
// machine of package kv on its memory store, which stands for a disk that keeps
// what was synced and, of what came after, as much as a crash leaves. Beside it run the
// server's own hub of watchers and its lessor.
//
// What the simulator's clients do with any map from keys to values it judges itself.
// Here are clients who do the rest (guest.go, tenant.go, treasurer.go, users.go), and who
// judges what they and everybody are answered: a model of the store (judge.go), and
// what leases were promised (tenures.go).
package simulate

import (
	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/sim"
)

// KV is the store. It is durable by itself, as it is in the server.
type KV struct {
	*kv.Machine
	now     *store.Memory
	synced  *store.Memory
	written []*store.Memory // after each change since
}

var (
	_ sim.Durable       = (*KV)(nil)
	_ sim.Transactional = (*KV)(nil)
)

// New returns an empty one; a simulation's Setup takes it as its Store.
func New(bool) sim.Store { return open(store.NewMemory()) }

func open(on *store.Memory) *KV {
	m, err := kv.New(on)
	if err != nil {
		panic(err) // a store in memory has no errors of its own, so this one was written by a bug
	}
	return &KV{Machine: m, now: on, synced: on.Copy()}
}

// maxWritten bounds what a disk may keep back before it writes by itself.
const maxWritten = 64

func (s *KV) wrote() {
	if len(s.written) == maxWritten {
		s.synced, s.written = s.written[0], s.written[1:]
	}
	s.written = append(s.written, s.now.Copy())
}

// Crash implements [sim.Durable].
func (s *KV) Crash(keep func(int) int) sim.Durable {
	left := s.synced
	if n := len(s.written); n > 0 {
		if k := keep(n); k > 0 {
			left = s.written[k-1]
		}
	}
	disk := left.Copy()
	disk.Inherit(s.now) // it is durable from when it is staged
	return open(disk)
}

// Adopt implements [quorate.StagingStateMachine]: what was adopted is durable.
func (s *KV) Adopt(at raft.Index) (bool, error) {
	adopted, err := s.Machine.Adopt(at)
	if adopted {
		s.synced, s.written = s.now.Copy(), nil
	}
	return adopted, err
}

// Apply implements [quorate.StateMachine].
func (s *KV) Apply(batch []quorate.Command) error {
	err := s.Machine.Apply(batch)
	s.wrote()
	return err
}

// Sync implements [quorate.DurableStateMachine].
func (s *KV) Sync() error {
	s.synced, s.written = s.now.Copy(), nil
	return s.Machine.Sync()
}

// Open implements [sim.Store].
func (s *KV) Open() []byte { return kv.Command{By: kv.ThisNode, Do: kv.OpenSession{}}.Encode() }

// Session implements [sim.Store].
func (s *KV) Session(result any) uint64 {
	if r, ok := result.(*kv.Result); ok {
		return uint64(r.Session)
	}
	return 0
}

// Command implements [sim.Store].
func (s *KV) Command(session, sequence uint64, o *linear.Operation) []byte {
	return s.Transaction(session, sequence, []linear.Part{{
		Kind: o.Kind, Key: o.Key, Value: o.Value, IfMatch: o.IfMatch, IfAbsent: o.IfAbsent,
	}})
}

// Transaction implements [sim.Transactional].
func (s *KV) Transaction(session, sequence uint64, parts []linear.Part) []byte {
	var txn kv.Txn
	for _, p := range parts {
		key := []byte(p.Key)
		switch {
		case p.IfAbsent:
			txn.Compares = append(txn.Compares, kv.Absent(key))
		case p.IfMatch != 0:
			txn.Compares = append(txn.Compares, kv.ModifiedAt(key, int64(p.IfMatch)))
		}
		if p.Kind == linear.Delete {
			txn.Then = append(txn.Then, kv.Delete{Key: key})
		} else {
			txn.Then = append(txn.Then, kv.Put{Key: key, Value: []byte(p.Value)})
		}
	}
	return kv.Command{By: kv.ThisNode, Session: kv.SessionID(session), Sequence: sequence, Do: txn}.Encode()
}

// Look implements [sim.Transactional]: one read of the range that the keys are in.
func (s *KV) Look(parts []linear.Part) uint64 {
	least, most := parts[0].Key, parts[0].Key
	for _, p := range parts {
		least, most = min(least, p.Key), max(most, p.Key)
	}
	page, err := s.Range(kv.Query{Start: []byte(least), End: append([]byte(most), 0)})
	if err != nil {
		panic(err) // a store in memory has no errors of its own, so this one was made by a bug
	}
	for i := range parts {
		p := &parts[i]
		p.Outcome = linear.Absent
		for _, pair := range page.KVs {
			if string(pair.Key) == p.Key {
				p.Outcome, p.Value, p.Revision = linear.OK, string(pair.Value), uint64(pair.Mod)
			}
		}
	}
	return uint64(page.Revision)
}

// Answer implements [sim.Store].
func (s *KV) Answer(o *linear.Operation, result any) (linear.Outcome, uint64) {
	r, ok := result.(*kv.Result)
	switch {
	case ok && (r.Code == kv.ErrNoSpace || r.Code == kv.ErrCorrupt):
		return sim.NotDone, 0
	case !ok || r.Code != kv.OK:
		return linear.Unknown, 0
	case !r.Succeeded:
		return linear.Refused, 0
	case o.Kind == linear.Delete && r.Ops[0].Deleted == 0:
		return linear.Absent, 0
	}
	return linear.OK, uint64(r.Revision)
}

// Get implements [sim.Store].
func (s *KV) Get(key string) (value string, revision, at uint64, found bool) {
	pair, now, err := s.Machine.Get([]byte(key), 0)
	if err != nil || pair == nil {
		return "", 0, uint64(now), false
	}
	return string(pair.Value), uint64(pair.Mod), uint64(now), true
}

// Hash implements [sim.Store].
func (s *KV) Hash() uint64 {
	d, err := s.Machine.Hash()
	if err != nil {
		return 0
	}
	return d.Sum
}
