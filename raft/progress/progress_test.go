package progress_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft/progress"
)

var limits = progress.Limits{Messages: 3, Bytes: 100}

// streaming returns a follower that has everything up to 10 and is streamed to.
func streaming() progress.Progress {
	p := progress.New(11, 0, limits)
	p.Sent(10, 0)
	p.Acked(10)
	return p
}

func check(t *testing.T, p *progress.Progress, state progress.State, match, next progress.Index, inFlight int, canSend bool) {
	t.Helper()
	if p.State != state || p.Match != match || p.Next != next || p.InFlight() != inFlight || p.CanSend() != canSend {
		t.Fatalf("%v match %d next %d in flight %d can send %t; want %v %d %d %d %t",
			p.State, p.Match, p.Next, p.InFlight(), p.CanSend(), state, match, next, inFlight, canSend)
	}
}

func TestProbingWaitsForEachAnswer(t *testing.T) {
	p := progress.New(11, 0, limits)
	check(t, &p, progress.Probe, 0, 11, 0, true)
	p.Sent(12, 20)
	check(t, &p, progress.Probe, 0, 11, 0, false)
	p.Resume() // a sign of life: the probe may have been lost
	check(t, &p, progress.Probe, 0, 11, 0, true)
	p.Sent(12, 20)
	if !p.Rejected(10, 4) {
		t.Error("the answer to what was sent is news")
	}
	check(t, &p, progress.Probe, 0, 5, 0, true)
	if p.Rejected(10, 2) {
		t.Error("the same answer again is none")
	}
	check(t, &p, progress.Probe, 0, 5, 0, true)
	if !p.Acked(4) {
		t.Error("the first match is news")
	}
	check(t, &p, progress.Replicate, 4, 5, 0, true)
}

// A rejection always moves the search, even if its hint does not.
func TestAProbeNeverStandsStill(t *testing.T) {
	p := progress.New(11, 0, limits)
	for prev := progress.Index(10); prev > 0; prev-- {
		p.Sent(prev, 0)
		if !p.Rejected(prev, prev+7) {
			t.Fatalf("rejection of %d was no news", prev)
		}
		check(t, &p, progress.Probe, 0, prev, 0, true)
	}
}

func TestTheWindowFillsByMessagesAndByBytes(t *testing.T) {
	p := streaming()
	for i := range 3 {
		check(t, &p, progress.Replicate, 10, 11+progress.Index(i), i, true)
		p.Sent(11+progress.Index(i), 1)
	}
	check(t, &p, progress.Replicate, 10, 14, 3, false)
	p.Acked(12) // speaks for 11 and 12
	check(t, &p, progress.Replicate, 12, 14, 1, true)
	p.Acked(13)
	p.Sent(14, 1000) // one message may always go
	check(t, &p, progress.Replicate, 13, 15, 1, false)
	p.Acked(14)
	check(t, &p, progress.Replicate, 14, 15, 0, true)
}

func TestAnEmptyMessageTakesNoPlace(t *testing.T) {
	p := streaming()
	p.Sent(10, 0)
	check(t, &p, progress.Replicate, 10, 11, 0, true)
}

func TestARejectionEndsTheStream(t *testing.T) {
	p := streaming()
	p.Sent(12, 5)
	p.Sent(14, 5)
	if p.Rejected(10, 3) {
		t.Error("10 is known to match: the answer is older than that")
	}
	check(t, &p, progress.Replicate, 10, 15, 2, true)
	if !p.Rejected(12, 10) {
		t.Error("something was lost")
	}
	check(t, &p, progress.Probe, 10, 11, 0, true)
}

func TestLostMessagesAreLookedForAgain(t *testing.T) {
	p := streaming()
	p.Sent(12, 5)
	p.Lost()
	check(t, &p, progress.Probe, 10, 11, 0, true)
	p.Lost() // again, while probing: nothing more to forget
	check(t, &p, progress.Probe, 10, 11, 0, true)
}

func TestASnapshotStopsEntries(t *testing.T) {
	p := streaming()
	p.Sent(12, 5)
	p.AwaitSnapshot(20)
	check(t, &p, progress.Snapshot, 10, 13, 0, false)
	p.Resume()
	p.Lost()
	if p.Rejected(12, 11) {
		t.Error("what was sent before the snapshot says nothing any more")
	}
	p.Acked(12) // of what was under way: the snapshot is still needed
	check(t, &p, progress.Snapshot, 12, 13, 0, false)
	p.Acked(20)
	check(t, &p, progress.Replicate, 20, 21, 0, true)
	p.SnapshotEnded(20, 5, 10) // the report comes after the acknowledgement
	check(t, &p, progress.Replicate, 20, 21, 0, true)
}

func TestASnapshotEndsEitherWay(t *testing.T) {
	for name, end := range map[string]struct {
		upTo, next progress.Index
		notBefore  uint64
	}{"installed": {20, 21, 0}, "a newer one": {25, 26, 0}, "failed": {0, 11, 15}} {
		t.Run(name, func(t *testing.T) {
			p := streaming()
			p.AwaitSnapshot(20)
			p.SnapshotEnded(end.upTo, 5, 10)
			check(t, &p, progress.Probe, 10, end.next, 0, false)
			if p.NotBefore != end.notBefore {
				t.Errorf("the next snapshot not before tick %d, want %d", p.NotBefore, end.notBefore)
			}
			p.Resume() // only a sign of life lets the search begin
			check(t, &p, progress.Probe, 10, end.next, 0, true)
		})
	}
}

// A follower that cannot take a snapshot is offered one less and less often, until
// it answers anything else.
func TestThePauseBetweenSnapshotsDoubles(t *testing.T) {
	p := streaming()
	for try, pause := range []uint64{10, 20, 40, 80, 160, 320, 640, 640} {
		p.AwaitSnapshot(20)
		p.SnapshotEnded(0, 100, 10)
		if p.NotBefore != 100+pause {
			t.Fatalf("after failure %d: not before %d, want %d", try+1, p.NotBefore, 100+pause)
		}
	}
	p.Acked(11)
	if p.NotBefore != 0 {
		t.Error("a follower that has taken entries still waits")
	}
}

// TestNothingIsEverLowered plays any answers in any order: late, doubled, of
// messages never sent. Match must not fall, Next stays above it, and the window
// within its limits.
func TestNothingIsEverLowered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := progress.New(rapid.Custom(index).Draw(t, "next")+1, 0, limits)
		index := func() progress.Index { return rapid.Custom(index).Draw(t, "index") }
		match, told := p.Match, p.Match
		act := map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				if p.CanSend() {
					p.Sent(p.Next-1+rapid.Custom(index3).Draw(t, "entries"), rapid.Uint64Range(0, 60).Draw(t, "bytes"))
				}
			},
			"ack": func(t *rapid.T) {
				i := index()
				told = max(told, i)
				if news := p.Acked(i); news != (i > match) {
					t.Fatalf("ack of %d at match %d: news %t", i, match, news)
				}
			},
			"reject":   func(*rapid.T) { p.Rejected(index(), index()) },
			"answer":   func(*rapid.T) { p.Resume() },
			"lose":     func(*rapid.T) { p.Lost() },
			"snapshot": func(*rapid.T) { p.AwaitSnapshot(index()) },
			"end":      func(t *rapid.T) { p.SnapshotEnded(index(), 5, 10) },
			"": func(t *rapid.T) {
				if p.Match < match {
					t.Fatalf("match %d fell to %d", match, p.Match)
				}
				if match = p.Match; match != told {
					t.Fatalf("match is %d, the highest answer was %d", match, told)
				}
				if p.Next <= p.Match {
					t.Fatalf("next %d at match %d", p.Next, p.Match)
				}
				if n := p.InFlight(); n < 0 || n > limits.Messages || n > 0 && p.State != progress.Replicate {
					t.Fatalf("%d in flight while %v", n, p.State)
				}
			},
		}
		t.Repeat(act)
	})
}

func index(t *rapid.T) progress.Index {
	return progress.Index(rapid.Uint64Range(0, 30).Draw(t, "i"))
}

func index3(t *rapid.T) progress.Index {
	return progress.Index(rapid.Uint64Range(0, 3).Draw(t, "n"))
}

func TestStatesHaveNames(t *testing.T) {
	for s, want := range map[progress.State]string{
		progress.Probe: "probe", progress.Replicate: "replicate", progress.Snapshot: "snapshot", 9: "state(9)",
	} {
		if s.String() != want {
			t.Errorf("%d is called %q, want %q", s, s, want)
		}
	}
}
