package quorate

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
)

// machine feeds one group's state machine from a goroutine of its own, so that a
// slow one delays nobody else.
type machine struct {
	group   *Group
	sm      StateMachine
	durable DurableStateMachine // nil if the state is in memory only
	applied raft.Index          // owned by the goroutine
	since   backlog             // applied since the last compaction was begun

	mu        sync.Mutex
	jobs      []job
	closed    bool
	wake      chan struct{} // holds one signal while something waits
	waiting   atomic.Int64  // entries handed over and not yet applied
	saving    atomic.Bool   // a snapshot of the state is being written
	receiving atomic.Bool   // a snapshot from a leader is

	commands []Command // reused
	tickets  []uint64
}

// job is one thing to do, in order.
type job struct {
	entries []raft.Entry
	install *raft.Snapshot
	run     func()
}

type backlog struct {
	entries uint64
	bytes   uint64
}

// maxBehind is how many committed entries the state machine may be behind before
// further proposals are refused.
const maxBehind = 1 << 15

func newMachine(g *Group, sm StateMachine) *machine {
	durable, _ := sm.(DurableStateMachine)
	return &machine{group: g, sm: sm, durable: durable, wake: make(chan struct{}, 1)}
}

func (m *machine) behind() bool { return m.waiting.Load() > maxBehind }

func (m *machine) put(j job) {
	m.waiting.Add(int64(len(j.entries)))
	m.mu.Lock()
	m.jobs = append(m.jobs, j)
	m.mu.Unlock()
	m.signal()
}

func (m *machine) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *machine) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.signal()
}

// run is the state machine's goroutine.
func (m *machine) run() {
	for range m.wake {
		m.mu.Lock()
		jobs, closed := m.jobs, m.closed
		m.jobs = nil
		m.mu.Unlock()
		for _, j := range jobs {
			if err := m.work(j); err != nil {
				m.group.stop(err)
				m.group.host.inbox.do(func() { m.group.host.loop.engine.Remove(m.group.id) })
				return
			}
		}
		if closed {
			return
		}
	}
}

func (m *machine) work(j job) error {
	switch {
	case j.run != nil:
		j.run()
		return nil
	case j.install != nil:
		return m.install(*j.install)
	default:
		defer m.waiting.Add(-int64(len(j.entries)))
		return m.apply(j.entries)
	}
}

// apply carries entries out (ALL1: in order, each once).
func (m *machine) apply(entries []raft.Entry) error {
	m.commands, m.tickets = m.commands[:0], m.tickets[:0]
	for i := range entries {
		e := &entries[i]
		m.since.entries++
		m.since.bytes += uint64(len(e.Data))
		if e.Kind == raft.Command && len(e.Data) >= ticketSize {
			m.commands = append(m.commands, Command{Index: e.Index, Data: e.Data[ticketSize:]})
			m.tickets = append(m.tickets, binary.LittleEndian.Uint64(e.Data))
		}
	}
	if len(m.commands) > 0 {
		if err := m.sm.Apply(m.commands); err != nil {
			return fmt.Errorf("quorate: the state machine cannot go on: %w", err)
		}
	}
	m.applied = entries[len(entries)-1].Index
	m.group.waiting.onApplied(entries, m.commands, m.tickets)
	clear(m.commands)
	m.report()
	return m.maybeCompact()
}

// report tells the core how far the state machine has come.
func (m *machine) report() {
	at := m.applied
	h := m.group.host
	h.inbox.do(func() {
		_ = h.loop.engine.Do(m.group.id, func(core *raft.Raft) error { core.Applied(at); return nil })
	})
}
