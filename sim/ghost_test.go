package sim

import (
	"testing"

	"github.com/quorate-db/quorate/raft"
)

// What a log that opens after a flip may lack is what its last write said, and nothing
// else: neither what was said before, nor the mark that it has lost groups once.
func TestAFlipMayTakeTheLastWrite(t *testing.T) {
	of := func(term raft.Term) *raft.Saved { return &raft.Saved{State: raft.HardState{Term: term}} }
	type disk = map[raft.GroupID]*raft.Saved
	mark := &raft.Saved{State: raft.HardState{Injured: true}}
	for _, c := range []struct {
		name   string
		before *raft.Saved
		writes uint64 // of the node; the last about the group was the fifth
		log    disk
		fine   bool
	}{
		{"nothing is gone", of(2), 5, disk{1: of(3)}, true},
		{"the last write is gone", of(2), 5, disk{1: of(2)}, true},
		{"an earlier one is gone", of(2), 6, disk{1: of(2)}, false},
		{"more than the last is gone", of(2), 5, disk{1: of(1)}, false},
		{"what was before the last is not known", nil, 5, disk{1: of(1)}, true},
		{"it need not be known of an earlier one", nil, 6, disk{1: of(1)}, false},
		{"the group's first write is gone", of(0), 5, disk{}, true},
		{"its new beginning is gone", mark, 5, disk{0: mark}, true},
		{"its new beginning is gone, and the mark", mark, 5, disk{}, false},
	} {
		j, n := newJudge(nil, 1), &node{id: 1, writes: c.writes}
		g := j.ghost(n.id)
		g.saved, g.before, g.written = *of(3), c.before, 5
		if err := j.flipped(n, c.log); (err == nil) != c.fine || err != nil && Kind(err) != "D04" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
