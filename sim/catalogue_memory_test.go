package sim

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
)

// Nodes that come back without what they had promised: with no data at all, or with
// those of an earlier time.

// betrayal is a cluster in which an entry is on the disks of two, and of these one has
// lost it: a majority that knows nothing of it could elect a leader.
type betrayal struct {
	*story
	keeper, loser, behind *node
	before                *vfs.Mem // the loser's disk when the entry was not there yet
}

func betray(t *testing.T, seed uint64, changes ...func(*Options)) *betrayal {
	t.Helper()
	s := begin(t, seed, 3, changes...)
	b := &betrayal{story: s, keeper: s.leader()}
	others := s.besides(b.keeper)
	b.loser, b.behind = others[0], others[1]
	s.put(b.keeper, "k0", "before")
	s.until("all know each other", 10*election, func() bool {
		return s.met(b.keeper) && s.met(b.loser) && s.met(b.behind)
	})
	b.before = b.loser.disk.mem.Crash(vfs.Kept)
	s.put(b.keeper, "k0", "after the copy")
	s.pass(2 * pingEvery)
	s.isolate(b.behind)
	s.put(b.keeper, "k1", "acknowledged")
	b.loser.die(keepNone)
	s.heal()
	s.isolate(b.keeper)
	return b
}

// turnedAway waits until the loser has been told off, and sees to it that nobody has
// led with its help.
func (b *betrayal) turnedAway(why string) {
	b.t.Helper()
	b.loser.boot()
	b.until("it is turned away", 20*election, func() bool { return b.loser.down != nil })
	if got := b.loser.down.Error(); !strings.Contains(got, why) || !strings.Contains(got, transport.ErrForgotten.Error()) {
		b.t.Errorf("seed %d: it says %q", b.cfg.Seed, got)
	}
	if n := b.behind.host.Vitals().PeersRefused; n != 1 {
		b.t.Errorf("seed %d: %d peers were turned away", b.cfg.Seed, n)
	}
	b.pass(10 * election)
	if n := b.leading(); n != nil && n != b.keeper {
		b.t.Errorf("seed %d: node %d leads, and nobody but node %d can", b.cfg.Seed, n.id, b.keeper.id)
	}
	b.heal()
	b.get(b.leader(), "k1", "acknowledged")
}

// A node has acknowledged a write that only it and the leader have, and loses its disk.
// Together with the one that lacks the write it would be a majority; but that one remembers
// with which directory they had met, also after a start of its own. Replaced by a
// node with a new ID, the cluster is whole again.
func TestM17ANodeThatLostItsDiskIsTurnedAway(t *testing.T) {
	for seed := range seeds(20) {
		b := betray(t, seed, func(o *Options) { o.Spares = 1 })
		b.loser.lose()
		b.behind.die(keepNone)
		b.behind.boot()
		b.turnedAway("is not the one with which it was first met")
		leader := b.leader()
		if err := b.change(leader, remove(b.loser)); err != nil {
			t.Fatal(err)
		}
		b.join(leader, b.nodes[3])
		b.put(leader, "k2", "three again")
		b.ends()
	}
}

// A node that nobody has met may lose its disk: it has promised nothing.
func TestM17ADiskMayBeLostBeforeTheFirstMeeting(t *testing.T) {
	for seed := range seeds(5) {
		s := idle(t, seed, 3)
		lost := s.nodes[2]
		s.isolate(lost)
		for _, n := range s.nodes {
			n.boot()
		}
		s.put(s.leader(), "k0", "without it")
		lost.die(keepAll)
		lost.lose()
		s.heal()
		lost.boot()
		s.caughtUp(lost, 10*election)
		s.ends()
	}
}

// An administrator puts back an old copy of one node's directory, which lacks a write
// that the node had acknowledged. The others know how far its log had come.
func TestD14AnOldCopyOfADirectoryIsTurnedAway(t *testing.T) {
	for seed := range seeds(20) {
		b := betray(t, seed)
		b.loser.lose()
		b.judges[0].ghost(b.loser.id).excused = true // it holds something, and less than it did
		b.loser.disk.mem = b.before
		b.turnedAway("is an old copy")
		b.ends()
	}
}

// A node whose log ends where it was told to end is nobody's copy, however often it
// and those who remember it start, and whatever a crash leaves of what was not synced.
func TestD14WhoOnlyCrashedIsNotAccused(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3, quickCompaction, func(o *Options) { o.Clients = 3 })
		s.load()
		for range 20 {
			n := s.nodes[s.world.rng.IntN(3)]
			n.die(survivals[s.world.rng.IntN(len(survivals))])
			s.pass(between(s.world.rng, 0, election))
			n.boot()
			s.pass(between(s.world.rng, 0, 2*election))
		}
		s.ends()
		for _, n := range s.nodes {
			if v := n.host.Vitals(); v.PeersRefused != 0 {
				t.Errorf("seed %d: node %d has turned %d away", seed, n.id, v.PeersRefused)
			}
		}
	}
}

// Whole histories, in each of which a node loses its disk amid all else that happens.
func TestM17HistoriesWithALostDisk(t *testing.T) {
	if racing {
		t.Skip("a history has one thread; what it runs is watched in TestSeeds")
	}
	turned := 0
	for seed := range seeds(40) {
		p := Draw(seed, Limits{Nodes: 3 + 2*int(seed%2), Faults: []string{lossOfDisk, "weather", "crash", "pause", "cut", "stop", "transfer"}})
		var says bytes.Buffer
		transcript := NewText(&says)
		result, err := Execute(p, Setup{Transcript: transcript})
		if err := errors.Join(err, transcript.Flush()); err != nil {
			t.Fatal(err)
		}
		if result.Err != nil {
			t.Errorf("seed %d: %v", seed, result.Err)
		}
		if strings.Contains(says.String(), "turns this node away") {
			turned++
		}
	}
	if turned == 0 {
		t.Error("nobody was turned away")
	}
}
