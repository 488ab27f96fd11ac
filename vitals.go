package quorate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/timing"
	"github.com/quorate-db/quorate/vfs"
)

// Histogram counts durations, in buckets that double from a microsecond on.
type Histogram = timing.Histogram

// Vitals says how well a host is, since it was opened.
type Vitals struct {
	// How long it took from when a command came to the leader's node, by a call of Propose
	// or from another node, until the core had taken it, until it was on this node's disk,
	// on the disks of a majority, and applied here. One command of each group is timed at
	// a time. Committed is also when a majority has acknowledged it: that is one moment.
	Queued, Durable, Committed, Applied Histogram

	Pending       int64  // bytes of commands that wait for a majority or for state machines; see Config.MaxPendingBytes
	LogBytes      int64  // entries in the logs of all groups, in memory; see Config.MaxLogBytes
	DiskStalls    uint64 // writes that took longer than half of an election timeout
	DiskFree      int64  // bytes that were left when the file system was last asked; zero: it does not say
	DiskFull      bool   // commands are refused with ErrDiskFull
	SlowPeers     uint64 // looks, one in a second or so, at a peer whose round trip took as long
	PeersRefused  uint64 // peers that were turned away, since they had lost their disks or ran on old copies
	EventsDropped uint64 // for want of room in Config.Events

	SyncTrial vfs.Trial // on which the sync mode (wal.Status has it) was chosen; zero: there was no choice, or no time
}

// Vitals says how well this host is.
func (h *Host) Vitals() Vitals {
	v := &h.vitals
	return Vitals{
		Queued: v.queued.Now(), Durable: v.durable.Now(), Committed: v.committed.Now(), Applied: v.applied.Now(),
		Pending: h.pending.bytes.Load(), LogBytes: h.logs.bytes.Load(), DiskFree: h.disk.room.free.Load(), DiskFull: h.disk.room.short(),
		DiskStalls: v.stalls.Load(), SlowPeers: v.slow.Load(), PeersRefused: v.forgetful.Load(), EventsDropped: v.dropped.Load(),
		SyncTrial: v.trial,
	}
}

// vitals are the counters of a host.
type vitals struct {
	queued, durable, committed, applied timing.Live

	timed     atomic.Int64 // proposals that are being timed
	stalls    atomic.Uint64
	slow      atomic.Uint64
	dropped   atomic.Uint64
	forgetful atomic.Uint64

	trial vfs.Trial // set once, by Open
}

// sample is the one proposal of a group that is being timed.
type sample struct {
	open atomic.Bool // there is one

	mu        sync.Mutex
	ticket    uint64
	began     time.Time
	entry     raft.EntryID // zero: the core has not taken it yet
	write     uint64       // which makes it durable here; zero: not yet known
	durable   bool
	committed bool
}

// begin times a proposal if no other one is being timed.
func (s *sample) begin(h *Host, ticket uint64) {
	if s.open.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open.Load() {
		s.ticket, s.began, s.entry, s.write, s.durable, s.committed = ticket, h.cfg.Env.Now(), raft.EntryID{}, 0, false, false
		s.open.Store(true)
		h.vitals.timed.Add(1)
	}
}

// note takes the next step, if there is a sample to take it.
func (s *sample) note(h *Host, step func(took time.Duration) (over bool)) {
	if !s.open.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open.Load() && step(h.cfg.Env.Now().Sub(s.began)) {
		s.open.Store(false)
		h.vitals.timed.Add(-1)
	}
}

// end gives up on what is being timed.
func (s *sample) end(h *Host) {
	s.note(h, func(time.Duration) bool { return true })
}

// offered says that the core has taken a proposal, or refused it.
func (s *sample) offered(h *Host, ticket uint64, entry raft.EntryID, err error) {
	s.note(h, func(took time.Duration) bool {
		if s.ticket != ticket {
			return false
		}
		if err == nil {
			s.entry = entry
			h.vitals.queued.Add(took)
		}
		return err != nil
	})
}

// decided looks how far the entry has come in the core. That of a leader which leads no
// more may never come any further.
func (s *sample) decided(h *Host, core *raft.Raft, write uint64) {
	s.note(h, func(took time.Duration) bool {
		b := core.Brief()
		switch {
		case s.entry.Index == 0 || s.committed:
			return false
		case b.Role != raft.Leader || b.Term != s.entry.Term:
			return true
		case s.write == 0:
			s.write = write
		}
		if b.Commit >= s.entry.Index {
			s.committed = true
			h.vitals.committed.Add(took)
		}
		return false
	})
}

// written says that a write, and all before it, are durable here.
func (s *sample) written(h *Host, write uint64) {
	s.note(h, func(took time.Duration) bool {
		if s.write != 0 && write >= s.write && !s.durable {
			s.durable = true
			h.vitals.durable.Add(took)
		}
		return false
	})
}

// applied says how far the state machine has come.
func (s *sample) applied(h *Host, at raft.Index) {
	s.note(h, func(took time.Duration) bool {
		if s.entry.Index == 0 || at < s.entry.Index {
			return false
		}
		if s.committed {
			h.vitals.applied.Add(took)
		}
		return true
	})
}
