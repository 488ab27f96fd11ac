// Package simulate lets the simulator replicate the real key-value store: the
// machine of package kv on its memory store, which stands for a disk that keeps
// what was synced and, of what came after, as much as a crash leaves.
package simulate

import (
	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
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

var _ sim.Durable = (*KV)(nil)

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
	return open(left.Copy())
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
func (s *KV) Open() []byte { return kv.Command{Do: kv.OpenSession{}}.Encode() }

// Session implements [sim.Store].
func (s *KV) Session(result any) uint64 {
	if r, ok := result.(*kv.Result); ok {
		return uint64(r.Session)
	}
	return 0
}

// Command implements [sim.Store].
func (s *KV) Command(session, sequence uint64, o *linear.Operation) []byte {
	key := []byte(o.Key)
	txn := kv.Txn{Then: []kv.Op{kv.Put{Key: key, Value: []byte(o.Value)}}}
	if o.Kind == linear.Delete {
		txn.Then[0] = kv.Delete{Key: key}
	}
	switch {
	case o.IfAbsent:
		txn.Compares = []kv.Compare{kv.Absent(key)}
	case o.IfMatch != 0:
		txn.Compares = []kv.Compare{kv.ModifiedAt(key, int64(o.IfMatch))}
	}
	return kv.Command{Session: kv.SessionID(session), Sequence: sequence, Do: txn}.Encode()
}

// Answer implements [sim.Store].
func (s *KV) Answer(o *linear.Operation, result any) (linear.Outcome, uint64) {
	r, ok := result.(*kv.Result)
	switch {
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
