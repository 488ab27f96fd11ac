package explore

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// states is how many states of each setup go test visits; make explore visits
// many more.
const states = 15_000

func TestEverySetupHolds(t *testing.T) {
	for _, setup := range Setups {
		t.Run(setup.Name, func(t *testing.T) {
			limit := states
			if testing.Short() {
				limit /= 10
			}
			result, err := Run(setup, limit, 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			if f := result.Finding; f != nil {
				t.Fatalf("after %d states, %d steps: %s\n%s", result.States, f.Steps, f.Reason, f.Script)
			}
			if result.States < limit && !result.Complete {
				t.Errorf("only %d states", result.States)
			}
		})
	}
}

// small is a world that can be visited whole, also by a slow and simple search.
var small = Setup{
	Name: "small", Voters: 3, Held: true, Term: 2, Last: 2, Wire: 4,
	Budget: Budget{Campaign: 1, Restart: 1},
}

// TestTheSearchMissesNothing compares with a search that keeps every state whole,
// in a queue and a map, without renamings: the same states must be left when its
// states are renamed in all ways.
func TestTheSearchMissesNothing(t *testing.T) {
	result, err := Run(small, 1<<30, 2, nil)
	if err != nil || !result.Complete || result.Finding != nil {
		t.Fatalf("%+v, %v", result, err)
	}
	root, err := begin(&small)
	if err != nil {
		t.Fatal(err)
	}
	if len(root.renamings) != 6 {
		t.Fatalf("three nodes that begin alike have %d renamings", len(root.renamings))
	}
	seen, classes := map[uint64]bool{root.sum(0): true}, map[uint64]bool{root.hash(): true}
	for queue := []*world{root}; len(queue) > 0; queue = queue[1:] {
		for _, a := range queue[0].actions(nil) {
			next, err := queue[0].next(a)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[next.sum(0)] {
				seen[next.sum(0)] = true
				classes[next.hash()] = true
				queue = append(queue, next)
			}
		}
	}
	if len(classes) != result.States {
		t.Errorf("%d states, %d of them if names do not count; the search visited %d", len(seen), len(classes), result.States)
	}
	if len(seen) < 3*len(classes) {
		t.Errorf("renaming leaves %d of %d states: far too many", len(classes), len(seen))
	}
}

// A renamed world is the same world: what is done to node i in one and to its
// namesake in the other must give the same hash again.
func TestRenamedWorldsHaveOneHash(t *testing.T) {
	for _, name := range []string{"election", "replication", "snapshot", "reads"} {
		setup := Setups[slices.IndexFunc(Setups, func(s Setup) bool { return s.Name == name })]
		setup.Elected, setup.Disks = nil, nil
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 1))
			a, err := begin(&setup)
			if err != nil {
				t.Fatal(err)
			}
			b := a
			r := a.renamings[rng.IntN(len(a.renamings))]
			for step := 0; step < 60; step++ {
				actions := a.actions(nil)
				if len(actions) == 0 {
					break
				}
				one := actions[rng.IntN(len(actions))]
				two, ok := renamed(a, b, one, r)
				if !ok {
					t.Fatalf("%s seed %d step %d: the namesake of %+v is not there", name, seed, step, one)
				}
				if a, err = a.next(one); err != nil {
					t.Fatal(err)
				}
				if b, err = b.next(two); err != nil {
					t.Fatal(err)
				}
				if a.hash() != b.hash() {
					t.Fatalf("%s seed %d step %d: two hashes after %+v", name, seed, step, one)
				}
			}
		}
	}
}

// renamed is the action that does to b what one does to a.
func renamed(a, b *world, one action, r renaming) (action, bool) {
	two := action{one.kind, raft.NodeID(r.name(one.node)), one.arg}
	switch one.kind {
	case Deliver, Drop, Duplicate:
		index := slices.IndexFunc(a.renamings, func(other renaming) bool { return slices.Equal(r, other) })
		at := slices.IndexFunc(b.wire, func(p *packet) bool { return p.hashes[0] == a.wire[one.arg].hashes[index] })
		two.arg = uint64(at)
		return two, at >= 0
	case Transfer, Unreachable, SnapshotFailed, Silence:
		two.arg = r.name(raft.NodeID(one.arg))
	}
	return two, true
}

// The same comes out with any number of workers.
func TestWorkersDoNotMatter(t *testing.T) {
	setup := Setups[slices.IndexFunc(Setups, func(s Setup) bool { return s.Name == "joint" })]
	one, err := Run(setup, 3000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := begin(&setup)
	if err != nil {
		t.Fatal(err)
	}
	first := visitAll(t, root, &setup, 1)
	if second := visitAll(t, root, &setup, 3); !slices.Equal(first, second) {
		t.Error("three workers find another tree than one")
	}
	if one.Finding != nil || one.States < 3000 {
		t.Errorf("%+v", one)
	}
}

// visitAll returns the actions of the tree's first levels.
func visitAll(t *testing.T, root *world, setup *Setup, workers int) []code {
	t.Helper()
	s := &search{root: root, visited: newSet(), parents: []uint32{0}, codes: []code{0}}
	s.visited.add(root.hash())
	walkers := make([]walker, workers)
	for i := range walkers {
		walkers[i] = walker{s: s, path: []visit{{0, root}}}
	}
	for from := 0; s.depth < 5; s.depth++ {
		to := len(s.codes)
		s.expand(walkers, from, to)
		from = to
	}
	if s.found != nil {
		t.Fatal(s.found.err)
	}
	return s.codes
}

func TestSetIsASet(t *testing.T) {
	rng, naive, s := rand.New(rand.NewPCG(1, 2)), map[uint64]bool{}, newSet()
	for range 300_000 {
		h := rng.Uint64N(200_000) + 1
		if s.has(h) != naive[h] {
			t.Fatalf("has %d: %t", h, s.has(h))
		}
		if s.add(h) == naive[h] {
			t.Fatalf("%d was new: %t", h, naive[h])
		}
		naive[h] = true
	}
	if s.count != len(naive) {
		t.Errorf("%d hashes, want %d", s.count, len(naive))
	}
}

// TestJudgement holds up to each property a state that breaks it.
func TestJudgement(t *testing.T) {
	entry := func(term raft.Term, index raft.Index) raft.Entry {
		return raft.Entry{EntryID: raft.EntryID{Term: term, Index: index}, Kind: raft.Blank}
	}
	change := entry(2, 2)
	change.Kind, change.Config = raft.Membership, &membership.Config{}
	for name, c := range map[string]struct {
		says string
		is   func(w *world) error
	}{
		"two leaders in a term": {"both lead in term 2", func(w *world) error {
			other := w.own(2)
			other.seen.Term = 2
			return w.leads(other)
		}},
		"a leader that nobody voted for": {"without the votes of a majority", func(w *world) error {
			n := w.own(2)
			n.seen.Term = 9
			return w.leads(n)
		}},
		"an entry that is not on a majority": {"not on the disks of a majority", func(w *world) error {
			n := w.own(1)
			n.disk.Entries = append(n.disk.Entries, entry(2, 9))
			return w.durable(n, &n.seen, raft.EntryID{Term: 2, Index: 9})
		}},
		"a leader without what was committed": {"lacks 1/2", func(w *world) error {
			w.past.committed = append(w.past.committed[:1], commitment{raft.EntryID{Term: 1, Index: 2}, 1})
			return w.judge(w.own(1))
		}},
		"another entry at a committed index": {"was committed there before", func(w *world) error {
			w.past.committed[1].id.Term = 1
			was := raft.Status{Commit: 1}
			return w.commits(w.own(2), &was)
		}},
		"logs that differ before an entry they share": {"differ at 2", func(w *world) error {
			a, b := *w.node(1), *w.node(2)
			a.log.Entries = []raft.Entry{entry(1, 2), entry(2, 3)}
			b.log.Entries = []raft.Entry{entry(2, 2), entry(2, 3)}
			return match(&a, &b)
		}},
		"a vote that the disk does not have": {"its disk does not say so", func(w *world) error {
			return w.own(2).backs(&raft.Message{Kind: raft.RequestVoteReply, Term: 2, To: 3, Granted: true})
		}},
		"two votes over two starts": {"after it voted for 1", func(w *world) error {
			n := w.own(2)
			n.disk.State = raft.HardState{Term: 2, Vote: 3}
			n.voted = raft.HardState{Term: 2, Vote: 1}
			return n.backs(&raft.Message{Kind: raft.RequestVoteReply, Term: 2, To: 3, Granted: true})
		}},
		"a term that a crash would take back": {"its disk is in term 2", func(w *world) error {
			return w.own(1).backs(&raft.Message{Kind: raft.Heartbeat, Term: 3})
		}},
		"an acknowledgement of nothing": {"acknowledges 2/7", func(w *world) error {
			return w.own(2).backs(&raft.Message{Kind: raft.AppendEntriesReply, Term: 2, Last: raft.EntryID{Term: 2, Index: 7}})
		}},
		"a read of the past": {"2 was committed when it was asked", func(w *world) error {
			n := w.own(1)
			n.asked = []question{{7, 2}}
			return n.answer(raft.Read{Token: 7, Index: 1})
		}},
		"two changes at once": {"2 changes of membership", func(w *world) error {
			n := w.own(1)
			again := change
			again.Index = 3
			n.log.Entries, n.seen.ConfigIndex = []raft.Entry{change, again}, 3
			w.past.committed = w.past.committed[:1]
			return w.inForce(n)
		}},
		"a change that counts although it is gone": {"latest stands at 1", func(w *world) error {
			n := w.own(1)
			n.seen.ConfigIndex = 2
			return w.inForce(n)
		}},
	} {
		w, err := begin(&Setup{Voters: 3, Elected: []Election{{1, 0}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.is(w.branch()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a search finds in a broken core, internal/mutants shows; here the telling
// itself: every action of a long way leaves a line that a script understands.
func TestEveryActionHasALine(t *testing.T) {
	for _, setup := range Setups {
		root, err := begin(&setup)
		if err != nil {
			t.Fatal(err)
		}
		s := &search{root: root, parents: []uint32{0}, codes: []code{0}}
		rng := rand.New(rand.NewPCG(7, 7))
		w := root
		for range 40 {
			actions := w.actions(nil)
			if len(actions) == 0 {
				break
			}
			a := actions[rng.IntN(len(actions))]
			if w, err = w.next(a); err != nil {
				t.Fatal(err)
			}
			s.parents, s.codes = append(s.parents, uint32(len(s.codes)-1)), append(s.codes, a.code())
		}
		n := len(s.codes) - 1
		s.found = &hit{candidate{s.parents[n], s.codes[n], 0}, finding("the end of the way")}
		f, err := s.tell(&setup)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f.Script, "lacks") {
			t.Errorf("%s: the script lost its way:\n%s", setup.Name, f.Script)
		}
		if transcript, err := Play(f.Script); err != nil {
			t.Errorf("%s: %v\n%s\n%s", setup.Name, err, f.Script, transcript)
		}
	}
}

func TestAPlayedScriptIsJudged(t *testing.T) {
	for script, want := range map[string]string{
		"nodes 3\nelect 1\nstep AppendEntries from=2 to=1 term=2 prev=1/1": "stops: raft: invariant broken: V5",
		"nodes 1\nnonsense":      "no such command",
		"nodes 1\nquietly wire":  "",
		"nodes 3\ncampaign 1\n#": "",
	} {
		_, err := Play(script)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", script, err)
		}
	}
	j := &ear{leaders: map[string]string{}, applied: map[string]string{}}
	if err := j.hear("4 applies 7/8 {1, learning 3 4 | 1 2}, 7/9 {1, learning 3 4}"); err != nil || len(j.applied) != 2 {
		t.Errorf("%v: %v", j.applied, err)
	}
	for _, lines := range [][2]string{
		{"1 becomes leader in term 2", "3 becomes leader in term 2"},
		{`1 applies 2/2 blank, 2/3 "x"`, `2 applies 2/2 blank, 3/3 "y"`},
	} {
		if err := j.hear(lines[0]); err != nil {
			t.Error(err)
		}
		if err := j.hear(lines[1]); err == nil {
			t.Errorf("nothing is wrong with %q after %q", lines[1], lines[0])
		}
	}
}
