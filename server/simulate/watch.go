package simulate

import (
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/watch"
	"github.com/quorate-db/quorate/sim"
)

var _ sim.Watchable = (*KV)(nil)

// tight are limits that the few writes of a run meet: a stream that is not taken from
// soon holds too much, and what watchers lack they read in small parts.
var tight = watch.Limits{QueueBytes: 2 << 10, StreamBytes: 600, PassBytes: 1 << 10, PassChanges: 8, Near: 4}

// hub is the server's own.
type hub struct{ *watch.Hub }

// Hub implements [sim.Watchable].
func (s *KV) Hub(on env.Env) (sim.Hub, error) {
	h, err := watch.New(s.Machine, busy{on}, tight)
	return hub{h}, err
}

// busy is a machine on which a goroutine may be late for what it has waited for: so a
// hub hands out what its store has long had, and others read on past it.
type busy struct{ env.Env }

// Wait implements [env.Runner].
func (b busy) Wait(timer env.Timer, x, y, z <-chan struct{}) int {
	came := b.Env.Wait(timer, x, y, z)
	if draw := b.Uint64(); draw%4 == 0 {
		t := b.NewTimer(time.Duration(draw % uint64(latest)))
		defer t.Stop()
		b.Env.Wait(t, nil, nil, nil)
	}
	return came
}

// latest is how late a goroutine is at most.
const latest = 10 * time.Millisecond

// Watch implements [sim.Hub].
func (h hub) Watch(key string, prefix bool, from uint64) (sim.Stream, error) {
	spec := watch.Spec{Key: []byte(key), From: int64(from)}
	if prefix {
		spec.End = kv.PrefixEnd(spec.Key)
	}
	s := h.Stream()
	if _, _, err := s.Watch(spec); err != nil {
		s.Close()
		return nil, err
	}
	return stream{s}, nil
}

// stream has one watcher.
type stream struct{ *watch.Stream }

// Revision implements [sim.Stream].
func (s stream) Revision() uint64 { return uint64(s.Stream.Revision()) }

// Next implements [sim.Stream].
func (s stream) Next() (sim.Told, bool, error) {
	d, ok, err := s.Stream.Next()
	told := sim.Told{Revision: uint64(d.Revision), Compacted: uint64(d.Compacted)}
	for _, e := range d.Events {
		told.Changes = append(told.Changes, sim.Change{
			Key: string(e.Key), Value: string(e.Value), Deleted: e.Deleted(), Revision: uint64(e.Mod),
		})
	}
	return told, ok, err
}

// Compact implements [sim.Watchable].
func (s *KV) Compact(revision uint64) []byte {
	return kv.Command{By: kv.ThisNode, Do: kv.Compact{Revision: int64(revision)}}.Encode()
}
