package quorate

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// inbox is what waits for the loop. Messages beyond its limits are dropped, as a
// network would; proposals are refused; tasks are few and always taken.
type inbox struct {
	wake chan struct{} // holds one signal while something waits

	mu      sync.Mutex
	waiting work
	offered int64 // bytes of the commands that wait
	load    int   // bytes of the entries in the messages that wait
	closed  bool

	reserved atomic.Int64 // bytes: what is offered, and what will be
}

// work is what the loop takes out at once.
type work struct {
	messages  []codec.Envelope
	proposals []proposal
	applied   []applied
	tasks     []func()
}

// applied is how far a group's state machine has come.
type applied struct {
	group GroupID
	at    raft.Index
}

// proposal is a command on its way to the log.
type proposal struct {
	group *Group
	data  []byte    // ticket and command
	term  raft.Term // of the leader that it is meant for; zero: must not be made
	only  raft.Term // the one in which it may be made; zero: any
	entry *waiter

	answer func([]byte) // where entry is nil: another node waits
}

// ticket is that of the command; data holds at least one.
func (p *proposal) ticket() uint64 { return binary.LittleEndian.Uint64(p.data) }

// What may wait for one turn of the loop.
const (
	maxInboxMessages = 1 << 14
	maxInboxBytes    = 64 << 20

	// itemCost is what a message, an entry or a proposal counts besides its data,
	// in bytes: many that are empty take memory, too.
	itemCost = 128
)

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// receive takes messages from a peer.
func (in *inbox) receive(messages []codec.Envelope) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range messages {
		if len(in.waiting.messages) >= maxInboxMessages || in.load > maxInboxBytes {
			break
		}
		in.waiting.messages = append(in.waiting.messages, messages[i])
		in.load += itemCost
		for k := range messages[i].Message.Span.Entries {
			in.load += itemCost + len(messages[i].Message.Span.Entries[k].Data)
		}
	}
	in.signal()
}

// reserve makes room for a command of so many bytes, which propose takes or release
// gives back. It takes no lock, and the command need not be there yet: callers that are
// refused, and try again and again, shall cost nobody anything.
func (in *inbox) reserve(bytes int) bool {
	cost := int64(itemCost + bytes)
	if all := in.reserved.Add(cost); all > cost && all > maxInboxBytes {
		in.reserved.Add(-cost)
		return false
	}
	return true
}

func (in *inbox) release(bytes int) { in.reserved.Add(-int64(itemCost + bytes)) }

// propose takes a command for which there is room.
func (in *inbox) propose(p proposal) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		in.release(len(p.data))
		return ErrClosed
	}
	in.waiting.proposals = append(in.waiting.proposals, p)
	in.offered += int64(itemCost + len(p.data))
	in.signal()
	return nil
}

// applied takes a report of a state machine. The loop is not woken: nobody waits for it,
// and a tick comes soon.
func (in *inbox) applied(group GroupID, at raft.Index) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed {
		in.waiting.applied = append(in.waiting.applied, applied{group, at})
	}
}

// do runs a task on the loop, later. It reports whether it will.
func (in *inbox) do(task func()) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.waiting.tasks = append(in.waiting.tasks, task)
	in.signal()
	return true
}

// ask runs a task on the loop and returns its result.
func (h *Host) ask(task func() error) (err error) {
	done := make(chan struct{})
	if !h.inbox.do(func() { err = task(); close(done) }) {
		return ErrClosed
	}
	h.cfg.Env.Wait(nil, done, nil, nil)
	return err
}

// take moves what waits into w, whose memory it uses for what will wait next.
// Proposals may be left where they are.
func (in *inbox) take(w *work, proposals bool) {
	clear(w.messages)
	clear(w.proposals)
	clear(w.tasks)
	in.mu.Lock()
	defer in.mu.Unlock()
	left := in.waiting.proposals
	*w, in.waiting = work{in.waiting.messages, w.proposals[:0], in.waiting.applied, in.waiting.tasks},
		work{w.messages[:0], left, w.applied[:0], w.tasks[:0]}
	in.load = 0
	if proposals {
		w.proposals, in.waiting.proposals = left, w.proposals
		in.reserved.Add(-in.offered)
		in.offered = 0
	}
}

// trim lets go of memory that nothing waits in.
func (in *inbox) trim() {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := &in.waiting
	if len(w.messages)+len(w.proposals)+len(w.applied)+len(w.tasks) == 0 {
		*w = work{}
	}
}

// close lets nothing more in; what is in still reaches the loop, which then ends.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.signal()
}

func (in *inbox) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}
