package quorate

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// machine feeds one group's state machine from a goroutine of its own, so that a
// slow one delays nobody else. It runs while there is something to do: groups that
// have nothing to do are many.
type machine struct {
	group   *Group
	sm      StateMachine
	durable DurableStateMachine // nil if the state is in memory only
	applied raft.Index          // owned by the goroutine
	since   backlog             // applied since the last compaction was begun
	ahead   raft.Index          // the state had come so far when the log had lost what led there: it comes again

	mu        sync.Mutex
	jobs      []job
	running   bool // the goroutine
	failed    bool // nothing more is taken
	closed    bool
	waiting   atomic.Int64             // entries handed over and not yet applied
	heavy     atomic.Int64             // and what they weigh, in bytes
	saving    atomic.Bool              // a snapshot of the state is being written
	users     env.Tasks                // what has to do with the state, beside the goroutine
	receiving atomic.Pointer[incoming] // nil: no snapshot is being received
	intake    atomic.Pointer[intake]   // nil: none is being staged

	patience time.Duration // before a snapshot that could not be saved is tried again; owned by who saves

	commands []Command // reused
	tickets  []uint64
}

// use runs f, which has to do with the state, in a goroutine that finish waits for.
func (m *machine) use(f func()) {
	end := m.users.Begin()
	m.group.host.start(func() {
		defer end()
		f()
	})
}

// job is one thing to do, in order.
type job struct {
	entries []raft.Entry
	install *raft.Snapshot
	run     func() error
}

type backlog struct {
	entries uint64
	bytes   uint64
}

// How far behind the committed entries the state machine may be before no further
// ones are taken.
const (
	maxBehind      = 1 << 15
	maxBehindBytes = 64 << 20
)

func newMachine(g *Group, sm StateMachine) *machine {
	durable, _ := sm.(DurableStateMachine)
	return &machine{group: g, sm: sm, durable: durable}
}

func (m *machine) behind() bool {
	return m.waiting.Load() > maxBehind || m.heavy.Load() > maxBehindBytes
}

// count adds a job to what waits, or takes it away.
func (m *machine) count(entries []raft.Entry, sign int64) {
	bytes := int64(raft.SizeOf(entries))
	m.waiting.Add(sign * int64(len(entries)))
	m.heavy.Add(sign * bytes)
	m.group.host.pending.bytes.Add(sign * bytes)
}

func (m *machine) put(j job) {
	m.mu.Lock()
	if m.failed {
		m.mu.Unlock()
		return
	}
	m.count(j.entries, 1)
	m.jobs = append(m.jobs, j)
	begin := !m.running && !m.closed
	m.running = m.running || begin
	m.mu.Unlock()
	if begin {
		m.group.host.start(m.run)
	}
}

func (m *machine) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}

// fail lets go of all that waits: it will never be carried out here.
func (m *machine) fail() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed, m.jobs = true, nil
	m.waiting.Store(0)
	m.group.host.pending.bytes.Add(-m.heavy.Swap(0))
}

// next returns what waits; nothing: the goroutine ends.
func (m *machine) next() (jobs []job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	jobs, m.jobs = m.jobs, nil
	m.running = len(jobs) > 0
	return jobs
}

// run is the state machine's goroutine.
func (m *machine) run() {
	for jobs := m.next(); len(jobs) > 0; jobs = m.next() {
		for _, j := range jobs {
			if err := m.work(j); err != nil {
				m.fail()
				m.group.stop(err)
				m.group.host.inbox.do(func() { m.group.host.drop(m.group) })
				return
			}
		}
	}
}

func (m *machine) work(j job) error {
	switch {
	case j.run != nil:
		return j.run()
	case j.install != nil:
		return m.install(*j.install)
	default:
		return m.applyAll(j.entries)
	}
}

// maxApply is how many commands a state machine is given at a time: after a start
// there may be millions, and what goes along with each takes memory, too.
const maxApply = 4096

func (m *machine) applyAll(entries []raft.Entry) error {
	for len(entries) > 0 {
		some := entries[:min(len(entries), maxApply)]
		if err := m.apply(some); err != nil {
			return err
		}
		m.count(some, -1)
		entries = entries[len(some):]
	}
	return nil
}

// apply carries entries out (ALL1: in order, each once).
func (m *machine) apply(entries []raft.Entry) error {
	if entries[0].Index != m.applied+1 {
		return fmt.Errorf("quorate: entry %v reached a state machine that has applied %d: this is a fault of the program", entries[0].EntryID, m.applied)
	}
	m.commands, m.tickets = m.commands[:0], m.tickets[:0]
	for i := range entries {
		e := &entries[i]
		m.since.entries++
		m.since.bytes += uint64(len(e.Data))
		if e.Kind == raft.Command && len(e.Data) >= ticketSize && e.Index > m.ahead {
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
	m.group.host.observe(func(o Observer) { o.Applied(m.group.id, entries) })
	m.group.waiting.onApplied(entries, m.commands, m.tickets)
	m.group.sample.applied(m.group.host, m.applied)
	clear(m.commands)
	m.group.host.inbox.applied(m.group.id, m.applied)
	return m.maybeCompact()
}
