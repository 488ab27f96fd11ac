package raft_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

//go:generate go test -run ^TestEnumeration$ -rewrite .

// TestEnumeration gives every input to a node in every role and writes down what
// happens: docs/enumeration.md. A cell that changes fails the test. After a change
// that is meant: make generate, and read the difference.
func TestEnumeration(t *testing.T) {
	const page = "../docs/enumeration.md"
	got := enumeration(t)
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(filepath.FromSlash(page), got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(got)) {
		if !bytes.Contains(want, []byte(line)) {
			t.Errorf("%s lacks\n%s", page, line)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/enumeration.md is stale; run make generate")
	}
}

// seat is a role that a node can be in, as the table's columns tell them apart.
type seat struct {
	name string
	take func(*subject)
}

// subject is node 1, in term 5. Except where a seat says otherwise its group is 1 2 3
// and its log ends in 2/2 4/3, with 2 committed.
type subject struct {
	core    *raft.Raft
	asked   uint64 // a read that node 1 has asked of its leader
	applied raft.Index
	sleep   int // SleepTicks; zero: this group never sleeps
}

var seats = []seat{
	{"follower of 2", func(s *subject) {
		s.start(5, trio, logOf(2, 4)...)
		s.hear()
	}},
	{"pre-candidate", func(s *subject) {
		s.start(5, trio, logOf(2, 4)...)
		s.core.Campaign()
	}},
	{"candidate", func(s *subject) {
		s.start(4, trio, logOf(2, 4)...)
		s.stand()
	}},
	{"leader, 5/4 committed", func(s *subject) {
		s.start(4, trio, logOf(2, 4)...)
		s.stand()
		s.must(raft.Message{Kind: raft.RequestVoteReply, Granted: true})
		s.drain()
		s.must(raft.Message{Kind: raft.AppendEntriesReply, Last: id(5, 4)})
	}},
	{"asleep under 2", func(s *subject) {
		s.sleep = 1
		s.start(5, trio, logOf(2, 4)...)
		s.must(raft.Message{Kind: raft.Heartbeat, Commit: 3, Round: 1, Sleep: true, Last: id(4, 3)})
	}},
	{"leader, asleep", func(s *subject) {
		s.sleep = 1
		s.start(4, trio, logOf(2, 4)...)
		s.stand()
		s.must(raft.Message{Kind: raft.RequestVoteReply, Granted: true})
		s.drain()
		for _, from := range []raft.NodeID{2, 3} {
			s.from(from, raft.Message{Kind: raft.AppendEntriesReply, Last: id(5, 4)})
		}
		for round := range uint64(3) {
			s.drain()
			s.core.Tick()
			for _, from := range []raft.NodeID{2, 3} {
				s.from(from, raft.Message{Kind: raft.HeartbeatReply, Round: round + 1, Sleep: true})
			}
		}
	}},
	{"learner of 2", func(s *subject) {
		learner := membership.Member{ID: 1, Role: membership.Learner}
		s.start(5, membership.New(learner, trio.Members[1], trio.Members[2]), logOf(2, 4)...)
		s.hear()
	}},
	{"removed, hears 2", func(s *subject) {
		rest := membership.New(trio.Members[1], trio.Members[2])
		s.start(5, trio, append(logOf(2), raft.Entry{EntryID: id(4, 3), Kind: raft.Membership, Config: &rest})...)
		s.hear()
		s.must(raft.Message{Kind: raft.Heartbeat, Commit: 3})
	}},
	{"empty log, hears 2", func(s *subject) {
		s.begin(raft.Saved{State: raft.HardState{Term: 5}})
		s.hear()
	}},
}

// logOf returns entries of the given terms, from index 2 on.
func logOf(terms ...raft.Term) (entries []raft.Entry) {
	for i, term := range terms {
		entries = append(entries, raft.Entry{EntryID: raft.EntryID{Term: term, Index: raft.Index(i + 2)}, Kind: raft.Blank})
	}
	return entries
}

func (s *subject) start(term raft.Term, config membership.Config, entries ...raft.Entry) {
	s.begin(raft.Saved{
		State: raft.HardState{Term: term, Commit: 2},
		Base:  raft.Snapshot{ID: raft.BootstrapID, Config: config}, Entries: entries,
	})
}

func (s *subject) begin(saved raft.Saved) {
	core, err := raft.New(raft.Config{ID: 1, Seed: 1, SleepTicks: s.sleep, Trace: true}, saved)
	if err != nil {
		panic(err)
	}
	s.core, s.applied = core, saved.Base.ID.Index
	s.drain()
}

// must hands over a message of node 2 in term 5.
func (s *subject) must(m raft.Message) { s.from(2, m) }

func (s *subject) from(node raft.NodeID, m raft.Message) {
	m.From, m.To, m.Term = node, 1, 5
	if err := s.core.Step(m); err != nil {
		panic(err)
	}
}

func (s *subject) hear() {
	s.must(raft.Message{Kind: raft.Heartbeat, Commit: 2})
	s.asked, _ = s.core.Read()
}

func (s *subject) stand() {
	s.core.Campaign()
	s.must(raft.Message{Kind: raft.PreVoteReply, Granted: true})
}

// happening is what one input has made of a node.
type happening struct {
	sent    []raft.Message
	reads   []raft.Read
	rules   []raft.Rule
	install bool
}

// drain does what the core wants done, with a disk that is always ready.
func (s *subject) drain() (h happening) {
	for again := true; again; {
		fx := s.core.Take()
		h.sent = append(append(h.sent, fx.Send...), fx.SendAfter...)
		h.reads = append(h.reads, fx.Reads...)
		for _, e := range fx.Trace {
			if !slices.Contains(h.rules, e.Rule) {
				h.rules = append(h.rules, e.Rule)
			}
		}
		if fx.Install != nil {
			h.install, s.applied = true, fx.Install.ID.Index
		}
		if again = !fx.Write.Empty(); again {
			s.core.Persisted(fx.WriteID)
		}
		if fx.Commit > s.applied {
			s.applied, again = fx.Commit, true
			s.core.Applied(s.applied)
		}
	}
	return h
}

// stimulus is a row of the table.
type stimulus struct {
	name string
	give func(*subject) error
}

// cell gives one input to a node in one seat and says what happens.
func cell(take func(*subject), in stimulus) (says string) {
	defer func() {
		if v, ok := recover().(raft.Violation); ok {
			rule, _, _ := strings.Cut(v.Reason, ":")
			says = "**stops**: " + rule
		}
	}()
	s := &subject{}
	take(s)
	s.drain()
	before := s.core.Status()
	if err := in.give(s); err != nil {
		return "refused: " + err.Error()
	}
	h := s.drain()
	return h.tell(before, s.core.Status())
}

// tell says what has changed, what is sent, and by which rules.
func (h *happening) tell(before, after raft.Status) string {
	var says []string
	say := func(when bool, format string, args ...any) {
		if when {
			says = append(says, fmt.Sprintf(format, args...))
		}
	}
	say(after.Role != before.Role || after.Term != before.Term, "**%v %d**", after.Role, after.Term)
	say(after.Vote != before.Vote && after.Vote != 0, "votes for %d", after.Vote)
	say(after.Leader != before.Leader && after.Leader == 0, "forgets its leader")
	say(after.Leader != before.Leader && after.Leader != 0 && after.Role != raft.Leader, "follows %d", after.Leader)
	say(h.install, "loads %v", after.Base)
	say(!h.install && after.Base != before.Base, "compacts to %v", after.Base)
	say(!h.install && after.Last != before.Last, "log ends in %v", after.Last)
	say(after.Commit != before.Commit, "commits %d", after.Commit)
	say(after.Asleep && !before.Asleep, "falls asleep")
	say(before.Asleep && !after.Asleep, "wakes")
	say(after.Transferring != before.Transferring, "transferring to %d", after.Transferring)
	for _, r := range h.reads {
		say(r.Index == 0, "read refused")
		say(r.Index != 0, "read at %d", r.Index)
	}
	says = append(says, kinds(h.sent)...)
	if len(says) == 0 {
		says = []string{"–"}
	}
	return strings.Join(says, ", ") + h.because()
}

// kinds tells what was sent to whom, equal messages once.
func kinds(sent []raft.Message) (says []string) {
	to := map[string][]string{}
	var order []string
	for i := range sent {
		m := &sent[i]
		what := "`" + m.Kind.String() + "`"
		switch {
		case m.Granted:
			what += " granted"
		case m.Kind == raft.PreVoteReply || m.Kind == raft.RequestVoteReply:
			what += " refused"
		case m.Rejected != raft.EntryID{}:
			what += fmt.Sprintf(" rejected, try %v", m.Last)
		case m.Kind == raft.AppendEntriesReply || m.Kind == raft.InstallSnapshotReply:
			what += fmt.Sprintf(" match %v", m.Last)
		case m.Transfer:
			what += " transfer"
		}
		if to[what] == nil {
			order = append(order, what)
		}
		to[what] = append(to[what], fmt.Sprint(m.To))
	}
	for _, what := range order {
		slices.Sort(to[what])
		says = append(says, fmt.Sprintf("%s to %s", what, strings.Join(slices.Compact(to[what]), " ")))
	}
	return says
}

// because names the rules, but for those that go along with nearly everything.
func (h *happening) because() string {
	rules := slices.DeleteFunc(slices.Clone(h.rules), func(r raft.Rule) bool {
		return slices.Contains([]raft.Rule{raft.ALL1, raft.ALL4, raft.F2, raft.L10, raft.L11}, r)
	})
	if len(rules) == 0 {
		return ""
	}
	return " (" + strings.Trim(fmt.Sprint(rules), "[]") + ")"
}
