package raft_test

import (
	"encoding/binary"
	"reflect"
	"regexp"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// FuzzStep throws arbitrary messages at a core in each role: any numbers, gaps,
// senders that are strangers or the node itself. A refused message must change
// nothing. An accepted one may be a lie, and a lie may break an invariant: then
// the core stops with a Violation. It must not panic otherwise, nor take more
// memory than it was sent, and what it writes must be a log that it can start
// from again.
func FuzzStep(f *testing.F) {
	for role := range byte(len(roles)) {
		f.Add([]byte{role})
		for kind := raft.PreVote; kind <= raft.TimeoutNow; kind++ {
			for _, n := range []byte{0, 1, 2, 3, 4, 5} {
				f.Add(append([]byte{role}, seedMessage(kind, n)...))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input(data)
		d := &fuzzed{t: t, disk: startDisk()}
		d.core = d.start()
		role := roles[int(in.byte())%len(roles)]
		if role.enter(d); d.core.Status().Role != role.want {
			t.Fatalf("a %v, want a %v", d.core.Status().Role, role.want)
		}
		for len(in) > 0 && d.core != nil {
			d.step(in.message())
		}
		d.start() // as after a crash
	})
}

// seedMessage is a message in which every number is n.
func seedMessage(kind raft.Kind, n byte) []byte {
	b := []byte{byte(kind)}
	for range 24 {
		b = append(b, n)
	}
	return b
}

// input reads numbers from fuzzed bytes; where there are none left they are zero.
type input []byte

func (in *input) byte() byte {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return b
}

// number is mostly small, sometimes at the very end of the range, sometimes any.
func (in *input) number() uint64 {
	switch b := in.byte(); {
	case b < 224:
		return uint64(b % 12)
	case b < 240:
		return ^uint64(0) - uint64(b-224)
	default:
		var all [8]byte
		for i := range all {
			all[i] = in.byte()
		}
		return binary.LittleEndian.Uint64(all[:])
	}
}

func (in *input) id() raft.EntryID {
	return raft.EntryID{Term: raft.Term(in.number()), Index: raft.Index(in.number())}
}

func (in *input) flag() bool { return in.byte()%2 == 1 }

func (in *input) config() membership.Config {
	var c membership.Config
	for range in.byte() % 4 {
		c.Members = append(c.Members, membership.Member{ID: raft.NodeID(in.number()), Role: membership.Role(in.byte() % 4)})
	}
	return c
}

func (in *input) message() raft.Message {
	m := raft.Message{
		Kind: raft.Kind(in.byte() % 16), From: raft.NodeID(in.number()), To: 1, Term: raft.Term(in.number()),
		Last: in.id(), Rejected: in.id(), Granted: in.flag(), Transfer: in.flag(), Sleep: in.flag(),
		Commit: raft.Index(in.number()), Round: in.number(), Span: raft.Span{Prev: in.id()},
	}
	next := m.Span.Prev.Index
	for range in.byte() % 8 {
		next++
		e := raft.Entry{EntryID: raft.EntryID{Term: raft.Term(in.number()), Index: next}, Kind: raft.EntryKind(in.byte() % 5)}
		if e.Kind == raft.Membership || e.Kind == 0 {
			c := in.config()
			e.Config = &c
		}
		if gap := in.byte(); gap > 200 {
			e.Index = raft.Index(in.number())
		}
		m.Span.Entries = append(m.Span.Entries, e)
	}
	if in.flag() {
		m.Snapshot = &raft.Snapshot{ID: in.id(), Config: in.config()}
	}
	return m
}

// fuzzed is one core, and the disk and state machine behind it.
type fuzzed struct {
	t       *testing.T
	core    *raft.Raft // nil once it has stopped with a Violation
	disk    raft.Saved
	applied raft.Index
	given   int // entries received or proposed so far
}

// startDisk holds terms 2 and 3 and a compacted beginning.
func startDisk() raft.Saved {
	entries := span(id(2, 2), id(2, 3), id(2, 4), id(3, 5), id(3, 6)).Entries
	return raft.Saved{
		State: raft.HardState{Term: 4, Commit: 4}, Base: raft.Snapshot{ID: id(2, 2), Config: trio}, Entries: entries,
	}
}

func (d *fuzzed) start() *raft.Raft {
	core, err := raft.New(raft.Config{ID: 1, Seed: 1, MaxInFlight: 4, MaxMessageBytes: 200}, d.disk)
	if err != nil {
		d.t.Fatalf("cannot start from what it wrote: %v", err)
	}
	d.applied, d.given = d.disk.Base.ID.Index, len(d.disk.Entries)
	return core
}

// roles bring the core, a follower that has heard of no leader, into each role.
var roles = []struct {
	want  raft.Role
	enter func(*fuzzed)
}{
	{raft.Follower, func(*fuzzed) {}},
	{raft.Follower, func(d *fuzzed) { d.step(raft.Message{Kind: raft.Heartbeat, From: 2, Term: 4, Commit: 5}) }},
	{raft.PreCandidate, func(d *fuzzed) { d.campaign() }},
	{raft.Candidate, func(d *fuzzed) {
		d.campaign()
		d.step(raft.Message{Kind: raft.PreVoteReply, From: 2, Term: 5, Granted: true})
	}},
	{raft.Leader, lead},
	{raft.Leader, func(d *fuzzed) { // with all that a leader may have under way
		lead(d)
		d.step(raft.Message{Kind: raft.AppendEntriesReply, From: 2, Term: 5, Last: id(5, 7)})
		d.given += 2
		_, _ = d.core.Propose([]byte("x"))
		_, _ = d.core.Read()
		_, _ = d.core.Change(membership.Change{Kind: membership.Remove, Member: membership.Member{ID: 1}}, 0)
		_ = d.core.Transfer(2)
		d.drain()
	}},
}

func lead(d *fuzzed) {
	d.campaign()
	d.given++
	d.step(raft.Message{Kind: raft.PreVoteReply, From: 2, Term: 5, Granted: true})
	d.step(raft.Message{Kind: raft.RequestVoteReply, From: 2, Term: 5, Granted: true})
}

func (d *fuzzed) campaign() {
	d.core.Campaign()
	d.drain()
}

// step hands over one message and does what the core then wants done.
func (d *fuzzed) step(m raft.Message) {
	defer d.stopped()
	if m.To == 0 {
		m.To = 1
	}
	before := d.core.Status()
	if err := d.core.Step(m); err != nil {
		if after := d.core.Status(); !reflect.DeepEqual(before, after) {
			d.t.Fatalf("%v, but it has changed\n%+v\ninto\n%+v", err, before, after)
		}
		if fx := d.core.Take(); len(fx.Send)+len(fx.SendAfter)+len(fx.Reads) > 0 || !fx.Write.Empty() || fx.Install != nil {
			d.t.Fatalf("%v, but it had effects: %+v", err, fx)
		}
		return
	}
	d.given += len(m.Span.Entries) + 1 // one more may be a new leader's blank entry
	d.drain()
	d.core.Tick()
	d.drain()
}

// provable are the violations that a liar can bring about, since no node alone can
// tell the lie from a broken group: a second leader in a term, and one that
// contradicts what is committed.
var provable = regexp.MustCompile(`^V5: \w+ and \w+ both lead in term|^V3: leader \w+ contradicts the committed entry`)

// stopped accepts that the core has found a proof that somebody breaks the
// algorithm. No other invariant may ever depend on what a message says.
func (d *fuzzed) stopped() {
	switch v := recover().(type) {
	case nil:
	case raft.Violation:
		if !provable.MatchString(v.Reason) {
			d.t.Fatal(v)
		}
		d.core = nil
	default:
		panic(v)
	}
}

// drain is the driver: it takes, writes, applies and reports until nothing is left.
func (d *fuzzed) drain() {
	for again := true; again; {
		fx := d.core.Take()
		d.bounded(len(fx.Send)+len(fx.SendAfter)+len(fx.Reads), len(fx.Append.Entries))
		if fx.Install != nil {
			d.applied = fx.Install.ID.Index
		}
		entries := d.core.Entries(d.applied, fx.Commit, ^uint64(0))
		if err := d.disk.Add(fx.Write); err != nil {
			d.t.Fatalf("the write does not connect: %v\n%+v\non %+v", err, fx.Write, d.disk)
		}
		if again = !fx.Write.Empty(); again {
			d.core.Persisted(fx.WriteID)
		}
		if len(entries) > 0 {
			d.applied = entries[len(entries)-1].Index
			d.core.Applied(d.applied)
		}
	}
}

// bounded fails where a step makes more than its messages can account for.
func (d *fuzzed) bounded(messages, entries int) {
	if entries > d.given || len(d.disk.Entries) > d.given {
		d.t.Fatalf("%d entries written, %d on disk, %d were given", entries, len(d.disk.Entries), d.given)
	}
	if messages > 1000 {
		d.t.Fatalf("one step made %d messages", messages)
	}
}
