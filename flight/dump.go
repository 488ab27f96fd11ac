package flight

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/archive"
)

// Dump is the recent past of one group on one node.
type Dump struct {
	Node  raft.NodeID
	Group raft.GroupID
	At    uint64       // when it was made, in microseconds since 1970
	Why   string       // the invariant that broke; empty: it was asked for
	Tapes []*raft.Tape // each goes on where the one before ends; they may still be written to
	End   []byte       // the state of the core at the end; empty if an invariant broke
}

// Why a file cannot be played.
var (
	ErrNoDump  = errors.New("flight: this is not a flight recording")
	ErrVersion = errors.New("flight: the recording is of another version of the format; play it with the quorate that made it")
	ErrDamaged = errors.New("flight: the recording is damaged")
)

const (
	magic   = "quorflit"
	version = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the dump as a file has it.
func (d *Dump) Append(dst []byte) []byte {
	start := len(dst)
	a := archive.Write(append(append(dst, magic...), version))
	d.archive(&a)
	dst = a.Bytes()
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// Read returns the dump that a file holds.
func Read(file []byte) (*Dump, error) {
	body, whole := bytes.CutPrefix(file, []byte(magic))
	switch {
	case !whole || len(body) < 1+4:
		return nil, ErrNoDump
	case body[0] != version:
		return nil, fmt.Errorf("%w: it is %d, and this program's is %d", ErrVersion, body[0], version)
	}
	end := len(file) - 4
	if crc32.Checksum(file[:end], castagnoli) != binary.LittleEndian.Uint32(file[end:]) {
		return nil, ErrDamaged
	}
	d, a := &Dump{}, archive.Read(file[len(magic)+1:end])
	d.archive(&a)
	if a.Err() != nil || len(a.Bytes()) > 0 || len(d.Tapes) == 0 {
		return nil, ErrDamaged
	}
	return d, nil
}

func (d *Dump) archive(a *archive.Archive) {
	archive.Fixed(a, &d.Node)
	archive.Fixed(a, &d.Group)
	archive.Number(a, &d.At)
	archive.Text(a, &d.Why)
	archive.List(a, &d.Tapes, func(a *archive.Archive, t **raft.Tape) {
		if a.Reading() {
			*t = &raft.Tape{}
		}
		(*t).Archive(a)
	})
	end := string(d.End)
	archive.Text(a, &end)
	d.End = []byte(end)
}

// Watcher sees what a core is given and does while a dump is played.
type Watcher interface {
	// Begins is called with the core before its first input, and again when a tape
	// begins: what the core was then.
	Begins(at uint64, core *raft.Raft)

	// Given is called after each input, with the rules that it made the core follow.
	Given(at uint64, core *raft.Raft, in *raft.Input, rules []raft.Event)
}

// Outcome is how a dump was played.
type Outcome struct {
	Inputs int    // given to the core, the last one included
	Begun  uint64 // when the first tape began, in microseconds since 1970
	Ended  uint64 // when the last input came
	Broke  error  // the invariant that broke, as it did then; nil: none
}

// ErrDeparted says that a core did not do what was recorded.
var ErrDeparted = errors.New("flight: the core departs from the recording")

// Play gives a new core all that was recorded and compares what it does. It returns
// ErrDeparted, wrapped in where, at the first difference.
func (d *Dump) Play(w Watcher) (o Outcome, err error) {
	var core *raft.Raft
	for i, tape := range d.Tapes {
		p, err := raft.Play(tape)
		if err != nil {
			return o, fmt.Errorf("%w: the state at the beginning of tape %d: %w", ErrDamaged, i+1, err)
		}
		if i == 0 {
			o.Begun = p.At
		} else if !bytes.Equal(core.AppendState(nil), tape.State()) {
			return o, fmt.Errorf("%w: after input %d its state is not that with which the next tape begins", ErrDeparted, o.Inputs)
		}
		core = p.Core
		w.Begins(p.At, core)
		if err := o.play(p, w, d.Why); err != nil || o.Broke != nil {
			return o, err
		}
	}
	switch {
	case d.Why != "":
		return o, fmt.Errorf("%w: no invariant broke, and then one did: %s", ErrDeparted, d.Why)
	case !bytes.Equal(core.AppendState(nil), d.End):
		return o, fmt.Errorf("%w: after input %d, the last one, its state is another", ErrDeparted, o.Inputs)
	}
	return o, nil
}

// play plays one tape to its end.
func (o *Outcome) play(p *raft.Playback, w Watcher, why string) error {
	for {
		err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		o.Inputs, o.Ended = o.Inputs+1, p.At
		if p.Input.Kind != 0 {
			w.Given(p.At, p.Core, &p.Input, p.Events)
		}
		var broken raft.Violation
		switch {
		case err == nil:
		case errors.As(err, &broken) && err.Error() == why:
			o.Broke = broken
			return nil
		case errors.As(err, &broken):
			return fmt.Errorf("%w: input %d, %v, breaks an invariant, as it did not then: %w", ErrDeparted, o.Inputs, &p.Input, err)
		case errors.Is(err, raft.ErrOtherEffects):
			return fmt.Errorf("%w: input %d, %v: %w", ErrDeparted, o.Inputs, &p.Input, err)
		default:
			return fmt.Errorf("%w: input %d: %w", ErrDamaged, o.Inputs, err)
		}
	}
}
