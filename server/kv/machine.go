package kv

import (
	"errors"
	"fmt"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// Machine is the replicated key-value store. It is a
// [quorate.StagingStateMachine]: Apply, Snapshot, Restore, Adopt and Sync come from one
// goroutine, Stage from another. What reads the state (Get, Range, History, State, Lease, Hash) is for any
// goroutine, at any time.
type Machine struct {
	store Store
	meta  meta // as committed; only for the goroutine that applies
	tell  func(Advance)
	count func(Tally)
}

var _ quorate.StagingStateMachine = (*Machine)(nil)

// New is the machine whose state the store holds; an empty store is the state
// before the first command.
func New(store Store) (*Machine, error) {
	view := store.View()
	m, err := readMeta(view)
	if err := view.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return &Machine{store: store, meta: m}, nil
}

// Applied returns the index of the last command whose effects the state holds.
func (m *Machine) Applied() raft.Index { return m.meta.applied }

// Sync makes everything applied so far durable.
func (m *Machine) Sync() error { return m.store.Sync() }

// Apply carries the commands out in one atomic change of the store, and answers
// each with a *[Result]. A command whose effects the state already holds (a
// restarted host replays its log) is passed over; its result stays nil.
func (m *Machine) Apply(batch []quorate.Command) error {
	change := m.store.Batch()
	s := &step{meta: m.meta, reader: change, batch: change}
	if m.tell != nil {
		s.events = &gathered{}
	}
	defer s.batch.Close() // gives up what was not committed
	results := make([]Result, len(batch))
	for i := range batch {
		c := &batch[i]
		if c.Index <= s.applied {
			continue
		}
		if err := s.apply(c.Index, c.Data, &results[i]); err != nil {
			return fmt.Errorf("kv: applying command %d: %w", c.Index, err)
		}
		c.Result = &results[i]
	}
	if s.applied == m.meta.applied {
		return nil
	}
	s.batch.Set(metaKey, s.meta.encode())
	if err := s.batch.Commit(); err != nil {
		return fmt.Errorf("kv: committing up to command %d: %w", s.applied, err)
	}
	from := m.meta.revision
	m.meta = s.meta
	m.counted(s.tally)
	m.advanced(from, s.events)
	return nil
}

// step is the state while a batch is being applied: that of the store and what
// the batch has changed so far.
type step struct {
	meta
	reader  Reader    // the batch, or what a transaction is read from
	batch   Batch     // nil where nothing is changed
	changes int64     // keys changed by the command at hand
	events  *gathered // nil: nobody follows
	work    work      // of the transaction at hand
	tally   Tally
}

// apply carries one command out. Errors are the store's; what is wrong with the
// command becomes its result.
func (s *step) apply(index raft.Index, data []byte, out *Result) error {
	s.applied = index
	c, err := Decode(data)
	if err != nil {
		out.Code, out.Revision = ErrMalformed, s.revision
		errors.As(err, &out.Code) // it is one
		return nil
	}
	s.clock = max(s.clock, c.Millis)
	err = s.permit(c)
	code, refused := errors.AsType[Code](err)
	switch {
	case refused:
		out.Code, out.Revision, err = code, s.revision, nil
	case err != nil:
	case c.Session != 0:
		err = s.once(c, out)
	default:
		err = s.do(c, out)
	}
	if err != nil {
		return err
	}
	if err := s.sweep(sweepPerCommand); err != nil {
		return err
	}
	s.space.judge()
	return nil
}

func (s *step) do(c Command, out *Result) error {
	err := s.admit(c.Do)
	if err == nil {
		err = s.act(c, out)
	}
	if code, refused := errors.AsType[Code](err); refused {
		out.Code, err = code, nil
	}
	out.Revision = s.revision
	return err
}

func (s *step) act(c Command, out *Result) (err error) {
	switch do := c.Do.(type) {
	case Txn:
		err = s.txn(do, out)
	case OpenSession:
		err = s.openSession(c.By, out)
	case CloseSession:
		err = s.closeSession(do, out)
	case ExpireSessions:
		err = s.expireSessions(do, out)
	case Compact:
		err = s.compact(do)
	case Sweep:
		err = s.sweep(sweepAtOnce)
	case GrantLease:
		err = s.grantLease(do)
	case RevokeLease:
		err = s.revokeLease(do)
	case NoteRemaining:
		err = s.noteRemaining(do)
	case SetQuota:
		s.space.quota = do.Bytes
	case SetAlarm:
		err = s.setAlarm(do, out)
	case ChangeRights:
		err = s.changeRights(do)
	}
	return err
}
