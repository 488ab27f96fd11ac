package session

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/quorate-db/quorate"
)

// Config says how sessions are kept. It must be the same on every member of a group,
// and stay so for as long as the group lives.
type Config struct {
	// Encode makes bytes of a result of the wrapped machine, to be kept until its
	// client has it. If nil, results are bytes already, or nil. An error means that
	// the machine cannot go on.
	Encode func(result any) ([]byte, error)

	// Sessions is how many may be open; one more drops the one unused for longest.
	// 10,000 if zero.
	Sessions int
}

// Machine wraps a state machine, which is given the commands only, each once.
//
// A [quorate.DurableStateMachine] cannot be wrapped: its state and the sessions would
// have to reach the disk in one atomic write, which only it can make.
func Machine(cfg Config, below quorate.StateMachine) (quorate.StateMachine, error) {
	if _, durable := below.(quorate.DurableStateMachine); durable {
		return nil, errors.New("session: a durable state machine cannot be wrapped: let it keep sessions in the atomic writes of its own")
	}
	if cfg.Encode == nil {
		cfg.Encode = asBytes
	}
	if cfg.Sessions == 0 {
		cfg.Sessions = 10_000
	}
	return &machine{cfg: cfg, below: below, table: newTable(cfg.Sessions)}, nil
}

func asBytes(result any) ([]byte, error) {
	b, ok := result.([]byte)
	if !ok && result != nil {
		return nil, fmt.Errorf("session: a result is %T and not []byte: set Config.Encode", result)
	}
	return bytes.Clone(b), nil
}

type machine struct {
	cfg   Config
	below quorate.StateMachine
	table *table

	// On their way through the machine below; the slices are reused.
	batch  []quorate.Command
	origin []origin
}

// origin is where a command for the machine below comes from.
type origin struct {
	command *quorate.Command
	answer  *answer // nil if it belongs to no session
}

// refusal is a result that says why a command was not carried out.
type refusal struct{ error }

// Apply carries out what was not carried out before.
func (m *machine) Apply(batch []quorate.Command) error {
	for i := range batch {
		if err := m.apply(&batch[i]); err != nil {
			return err
		}
	}
	return m.flush()
}

func (m *machine) apply(in *quorate.Command) error {
	c, ok := decode(in.Data)
	switch {
	case !ok:
		in.Result = refusal{errForeign}
	case c.kind == plain:
		m.pass(in, c.data, nil)
	case c.kind == open:
		in.Result = m.table.open(in.Index)
	case c.kind == closing:
		m.table.drop(c.session)
	default:
		return m.once(in, c)
	}
	return nil
}

// once carries out a command of a session, unless it was carried out before.
func (m *machine) once(in *quorate.Command, c command) error {
	s := m.table.use(c.session)
	if s == nil {
		in.Result = refusal{ErrExpired}
		return nil
	}
	s.forget(c.first)
	if c.number < s.first {
		in.Result = refusal{errAnswered}
		return nil
	}
	a, seen := s.answers[c.number]
	if !seen {
		a = &answer{}
		s.answers[c.number] = a
		m.pass(in, c.data, a)
		return nil
	}
	if !a.known { // it stands twice in this batch
		if err := m.flush(); err != nil {
			return err
		}
	}
	in.Result = *a
	return nil
}

func (m *machine) pass(in *quorate.Command, data []byte, a *answer) {
	m.batch = append(m.batch, quorate.Command{Index: in.Index, Data: data})
	m.origin = append(m.origin, origin{in, a})
}

// flush lets the machine below carry out what was passed on, and takes its answers.
func (m *machine) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	defer func() {
		clear(m.batch)
		clear(m.origin)
		m.batch, m.origin = m.batch[:0], m.origin[:0]
	}()
	if err := m.below.Apply(m.batch); err != nil {
		return err
	}
	for i, from := range m.origin {
		if from.answer == nil {
			from.command.Result = m.batch[i].Result
			continue
		}
		data, err := m.cfg.Encode(m.batch[i].Result)
		if err != nil {
			return err
		}
		*from.answer = answer{data: data, known: true}
		from.command.Result = *from.answer
	}
	return nil
}

// Snapshot copies the sessions, which are small beside what they are for.
func (m *machine) Snapshot() (quorate.View, error) {
	below, err := m.below.Snapshot()
	if err != nil {
		return nil, err
	}
	return &view{sessions: m.table.encode(), View: below}, nil
}

func (m *machine) Restore(r io.Reader) error {
	in := bufio.NewReader(r)
	t, err := decodeTable(in, m.cfg.Sessions)
	if err != nil {
		return err
	}
	if err := m.below.Restore(in); err != nil {
		return err
	}
	m.table = t
	return nil
}

// Close closes the machine below, if it can be closed.
func (m *machine) Close() error {
	if c, ok := m.below.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// view writes the sessions, and then what the view below does.
type view struct {
	quorate.View
	sessions []byte
}

func (v *view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v.sessions)
	if err != nil {
		return int64(n), err
	}
	more, err := v.View.WriteTo(w)
	return int64(n) + more, err
}
