package wal

import (
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// Scenario L18: a snapshot far beyond the log was installed. The log begins anew right
// behind it, although what is between was never written, and so it is after each crash;
// an entry that would leave a gap behind the snapshot is refused as damage is.
func TestL18TheLogGoesOnRightBehindASnapshot(t *testing.T) {
	mem, want := vfs.NewMem(), model{}
	l := open(t, mem, want.picture())
	for _, w := range []raft.Write{
		entries(id(0, 0), 1, 3, 20),
		base(4, 1_000_000),
		entries(id(4, 1_000_000), 4, 2, 20),
		base(4, 1_000_001),
		entries(id(4, 1_000_002), 5, 30, 20),
	} {
		must(t, l.Append([]codec.Record{record(1, w)}))
		want.add(t, record(1, w))
		must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())
	}
	must(t, l.Close())
	l = open(t, mem, want.picture())
	must(t, l.Append([]codec.Record{record(1, base(6, 2_000_000)), record(1, entries(id(6, 2_000_001), 6, 1, 20))}))
	must(t, l.Close())
	if _, _, err := Open(mem, dir, small()); err == nil {
		t.Error("an entry that does not follow the snapshot was accepted")
	}
}
