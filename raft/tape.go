package raft

import (
	"cmp"
	"errors"
	"io"

	"github.com/quorate-db/quorate/raft/archive"
)

// Tape is a recording of one core: its state at a moment, every input since then and
// when it came, and each time that effects were taken a digest of them. What commands
// say is not on it, only how long they are. It is written while the core works, in
// some ten bytes for an input, and holds on to no memory but its own.
type Tape struct {
	deck  *Deck  // nil: it is only played
	began uint64 // as are all times here, in microseconds by the driver's clock
	last  uint64 // when the last input came
	state []byte
	input []byte
}

// Deck is what one driver records all its cores with, one after another. The zero value
// is ready.
type Deck struct {
	// Clock is what the driver takes for the time, in microseconds, and keeps up to date.
	Clock uint64

	// Functions that Record sets, so that a program which records nothing does not
	// link what writes tapes: the browser downloads the core. What they work on stands
	// here because it would otherwise need memory of its own each time: once for all
	// cores, since thousands are recorded of which most have nothing to do.
	write   func(*Tape)
	digest  func(*Raft, *Effects) uint64
	given   Input
	message Message
	effects Effects
	out     archive.Archive
	state   []byte
}

// Record writes all that this core is given from now on to a tape of its own, until
// it is called again. It must be called right after Take. Nil stops recording. The
// memory of a tape that is not needed any more may be given in old.
func (r *Raft) Record(deck *Deck, old *Tape) *Tape {
	r.tape = nil
	if deck == nil {
		return nil
	}
	assert(len(r.out.send)+len(r.out.after)+len(r.out.reads) == 0 || broken("a recording begins before effects are taken"))
	deck.write, deck.digest = (*Tape).append, (*Raft).sum
	t := &Tape{deck: deck, began: deck.Clock, last: deck.Clock}
	if old != nil {
		t.state, t.input = old.state[:0], old.input[:0]
	}
	deck.state = r.AppendState(deck.state[:0])
	t.state = append(t.state, deck.state...) // which takes no more than it needs
	r.tape = t
	return t
}

// Tape returns the tape that this core is being recorded on, nil if it is not.
func (r *Raft) Tape() *Tape { return r.tape }

// Size is the memory that the tape takes, in bytes.
func (t *Tape) Size() int { return cap(t.state) + cap(t.input) }

// Clip gives back the memory that is kept for inputs to come, if it is much.
func (t *Tape) Clip() {
	if n := len(t.input); cap(t.input) > n+n/8+clipLeast {
		t.input = append([]byte(nil), t.input...)
	}
}

// clipLeast is what is not worth another array, in bytes.
const clipLeast = 32

// Len is how many bytes the inputs take.
func (t *Tape) Len() int { return len(t.input) }

// Began is when the tape began, in microseconds by its driver's clock.
func (t *Tape) Began() uint64 { return t.began }

// note adds an input, before the core acts on it: if that breaks an invariant, it is
// the last one.
func (t *Tape) note(in Input) {
	t.deck.given = in
	t.deck.write(t)
}

// took adds what the effects were.
func (t *Tape) took(r *Raft, fx Effects) {
	d := t.deck
	d.effects = fx
	low := uint64(uint32(d.digest(r, &d.effects)))
	d.effects = Effects{} // or it would keep entries that the log has dropped
	d.out = archive.Write(t.input)
	archive.Number(&d.out, &low)
	t.input = d.out.Bytes()
}

func (t *Tape) append() {
	d := t.deck
	since := d.Clock - min(t.last, d.Clock)
	t.last += since
	d.out = archive.Write(t.input)
	archive.Number(&d.out, &since)
	d.given.archive(&d.out)
	t.input = d.out.Bytes()
}

// Archive keeps what is on the tape, or sets it.
func (t *Tape) Archive(a *archive.Archive) {
	archive.Number(a, &t.began)
	state, input := string(t.state), string(t.input)
	archive.Text(a, &state)
	archive.Text(a, &input)
	if a.Reading() {
		t.state, t.input = []byte(state), []byte(input)
	}
}

// State is what AppendState wrote when the tape began.
func (t *Tape) State() []byte { return t.state }

// ErrOtherEffects says that a core did something else than the one on the tape did.
var ErrOtherEffects = errors.New("raft: the effects are not those that were recorded")

// Playback is a core that is given once more what another one was.
type Playback struct {
	Core   *Raft
	At     uint64  // when the last input came, in microseconds by the driver's clock
	Input  Input   // the last one
	Events []Event // the rules that it made the core follow

	in   archive.Archive
	seen int // rules since the last Take that were in Events
}

// Play begins to play a tape to a new core. Rules that it follows are told whether or
// not they were then.
func Play(t *Tape) (*Playback, error) {
	core, err := Restore(t.state)
	if err != nil {
		return nil, err
	}
	core.cfg.Trace = true
	return &Playback{Core: core, At: t.began, in: archive.Read(t.input)}, nil
}

// Next gives the core its next input. It returns io.EOF at the end of the tape,
// ErrOtherEffects where the core departs from what was recorded, a Violation where an
// invariant breaks.
func (p *Playback) Next() (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case Violation:
			err = v
		default:
			panic(v)
		}
	}()
	if len(p.in.Bytes()) == 0 {
		return cmp.Or(p.in.Err(), io.EOF)
	}
	var since uint64
	archive.Number(&p.in, &since)
	p.At += since
	p.Input, p.Events = Input{}, nil
	p.Input.archive(&p.in)
	if p.in.Err() != nil {
		return p.in.Err()
	}
	fx := p.Core.give(&p.Input)
	if p.Input.Kind != takeInput {
		p.Events = p.Core.out.trace[p.seen:]
		p.seen = len(p.Core.out.trace)
		return nil
	}
	p.Events, p.seen = fx.Trace[p.seen:], 0
	var want uint64
	if archive.Number(&p.in, &want); p.in.Err() == nil && want != uint64(uint32(p.Core.sum(&fx))) {
		return ErrOtherEffects
	}
	return p.in.Err()
}

// sum is a digest of effects, and of what the driver is told beside them.
func (r *Raft) sum(fx *Effects) uint64 {
	var d digest
	d.messages(fx.Send)
	d.messages(fx.SendAfter)
	d.words(uint64(fx.State.Term), uint64(fx.State.Vote), uint64(fx.State.Commit), fx.WriteID, uint64(fx.Commit))
	d.span(&fx.Append)
	for _, s := range []*Snapshot{fx.Base, fx.Install} {
		if s != nil {
			d.words(1, uint64(s.ID.Term), uint64(s.ID.Index))
		}
		d.words(0)
	}
	for i := range fx.Reads {
		d.words(fx.Reads[i].Token, uint64(fx.Reads[i].Index))
	}
	last := r.log.last()
	d.words(uint64(r.role), uint64(r.term), uint64(r.vote), uint64(r.lead), uint64(r.applied), uint64(last.Term), uint64(last.Index), bit(r.asleep), r.injured)
	return d.sum
}

func (d *digest) messages(list []Message) {
	for i := range list {
		m := &list[i]
		d.words(uint64(m.Kind)|bit(m.Granted)<<8|bit(m.Transfer)<<9|bit(m.Sleep)<<10, uint64(m.To), uint64(m.Term), uint64(m.Last.Term), uint64(m.Last.Index),
			uint64(m.Rejected.Term), uint64(m.Rejected.Index), uint64(m.Commit), m.Round, m.Injured)
		if m.Kind == AppendEntries {
			d.span(&m.Span)
		}
		if m.Snapshot != nil {
			d.words(uint64(m.Snapshot.ID.Term), uint64(m.Snapshot.ID.Index))
		}
	}
	d.words(uint64(len(list)))
}

// span mixes in where entries begin and end: what is between follows from the log.
func (d *digest) span(s *Span) {
	last := s.Last()
	d.words(uint64(s.Prev.Term), uint64(s.Prev.Index), uint64(last.Term), uint64(last.Index))
}
