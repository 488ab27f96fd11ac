package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
	"github.com/quorate-db/quorate/sim"
)

var _ sim.Modelled = (*KV)(nil)

// judge holds what the store of a group says against its model: the answer to every
// command in the log, and what guests read at any node. So the order of the log is what
// explains what clients saw; that it agrees with time is known of a read by its index,
// and of a command by its place, which comes after all that was committed when it was
// called for.
type judge struct {
	*model.Store
	tenures
	asked  map[string]*asked // by guests, by the bytes of the command
	serial int64             // of their commands, so that no two are the same
}

// asked is a command of a guest.
type asked struct {
	at    raft.Index // its place; zero: none yet
	says  string     // its result
	never bool       // the guest was told that it never will have one
}

// Model implements [sim.Modelled].
func (s *KV) Model(times sim.Times) sim.Model {
	return &judge{Store: model.New(), tenures: tenures{Times: times, last: map[kv.LeaseID]*tenure{}}, asked: map[string]*asked{}}
}

// Says implements [sim.Modelled].
func (s *KV) Says(result any) string {
	if r, ok := result.(*kv.Result); ok {
		return model.Text(r)
	}
	return "no result"
}

func broken(invariant, format string, args ...any) error {
	return &sim.Broken{Invariant: invariant, Text: fmt.Sprintf(format, args...)}
}

// Apply implements [sim.Model].
func (j *judge) Apply(index raft.Index, command []byte, says string) (changes []sim.Change, compacted uint64, err error) {
	c, err := kv.Decode(command)
	if err != nil {
		return nil, 0, broken("model", "command %d cannot be read: %v", index, err)
	}
	want := j.Store.Apply(index, c)
	if right := model.Text(&want); says != right {
		err = broken("model", "command %d, %+v, is answered %s; right is %s", index, c, says, right)
	}
	if err == nil {
		err = j.placed(index, command, says)
	}
	if err == nil && want.Code == kv.OK && !want.Repeated {
		err = j.tenures.happened(index, c.Do)
	}
	for _, key := range j.Changed {
		changes = append(changes, sim.Change{Key: string(key.Key), Value: string(key.Value), Deleted: key.Version == 0, Revision: uint64(key.Mod)})
	}
	return changes, uint64(j.Compacted), err
}

// placed notes where a command of a guest has its place. It has one only.
func (j *judge) placed(index raft.Index, command []byte, says string) error {
	a := j.asked[string(command)]
	switch {
	case a == nil:
		return nil
	case a.never:
		return broken("E1", "command %d is carried out, though its client was told that it never will be", index)
	case a.at != 0:
		return broken("E1", "command %d is carried out again as %d", a.at, index)
	}
	a.at, a.says = index, says
	return nil
}

// answered looks at what a guest is told of its command, which it called for when so
// much was committed.
func (a *asked) answered(top raft.Index, r *kv.Result) error {
	switch says := model.Text(r); {
	case a.at <= top:
		return broken("E1", "a command has place %d, but %d was committed when it was called for", a.at, top)
	case a.says != says:
		return broken("E1", "command %d came to %s, but its client is told %s", a.at, a.says, says)
	}
	return nil
}

// refused notes that a guest was told that its command never will be carried out.
func (a *asked) refused() error {
	a.never = true
	if a.at != 0 {
		return broken("E1", "command %d was carried out, but its client is told that it never will be", a.at)
	}
	return nil
}

// looked holds the state that a node shows against the model.
func (j *judge) looked(m *kv.Machine) (kv.State, error) {
	state, err := m.State()
	if err != nil {
		return state, err
	}
	got := state
	got.Swept = 0 // which the model does not say
	if want := j.State(state.Applied); got != want {
		return state, broken("model", "a node that has applied %d shows %+v; right is %+v", state.Applied, got, want)
	}
	return state, nil
}

// ranged holds what a node answers to a query against the model.
func (j *judge) ranged(m *kv.Machine, by kv.Caller, q kv.Query) error {
	state, err := j.looked(m)
	if err != nil {
		return err
	}
	got, err := m.For(by).Range(q)
	want, refusal := j.Range(state.Applied, by, q)
	if g, w := model.PageText(&got), model.PageText(&want); err != refusal || err == nil && g != w {
		return broken("model", "a node that has applied %d answers %+v of %+v with %s, %v; right is %s, %v", state.Applied, q, by, g, err, w, refusal)
	}
	return nil
}

// Unrest implements [sim.Model]: leases end by themselves, unless an alarm whose raising
// came late forbids it.
func (j *judge) Unrest() (what string, within time.Duration) {
	if len(j.Leases) > 0 && !j.Corrupt() {
		what = fmt.Sprintf("there still are the leases %v", slices.Sorted(maps.Keys(j.Leases)))
	}
	return what, j.longest()
}
