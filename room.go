package quorate

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/wal"
)

// room is how much of the disk is left. Where it is short, a host takes no further
// commands, and lets others lead, which needs no room but for a vote; the little that is
// left is for what makes room, and for a leader's first entry where all are short.
// Where there is none, it takes no entries from leaders either. What was decided
// before, and finds no room any more, waits: nothing that depends on it leaves the node.
type room struct {
	level atomic.Int32 // by what the file system says: plenty, short or none
	stuck atomic.Bool  // a write waits for room
	free  atomic.Int64 // bytes; zero: nobody has said

	mu sync.Mutex // held to change what is said of it
}

const (
	plenty = int32(iota)
	short
	none
)

func (r *room) short() bool { return r.level.Load() != plenty || r.stuck.Load() }
func (r *room) none() bool  { return r.level.Load() == none || r.stuck.Load() }

// How often the file system is asked how much is left, how much is kept free where
// the configuration says nothing, in bytes, and how soon a write that found no room is tried again.
const (
	roomEvery      = 200 * time.Millisecond
	defaultReserve = 128 << 20
	roomRetry      = 100 * time.Millisecond
)

// reserve is what is kept free of a disk of so many bytes.
func (c *Config) reserve(total int64) int64 {
	if c.SpaceReserve != 0 {
		return max(0, c.SpaceReserve)
	}
	return min(defaultReserve, total/4)
}

// levelAt is how much room so many free bytes are. The way back is a little longer, so
// that one that lies at a boundary does not change all the time.
func levelAt(was int32, free, reserve int64) int32 {
	back := reserve / 8
	switch {
	case free < reserve/2, was == none && free < reserve/2+back:
		return none
	case free < reserve, was != plenty && free < reserve+back:
		return short
	default:
		return plenty
	}
}

// watchRoom asks the file system how much is left, for as long as it can tell.
func (h *Host) watchRoom() {
	ticker := h.cfg.Env.NewTicker(roomEvery)
	defer ticker.Stop()
	for h.lookForRoom() && h.cfg.Env.Wait(ticker, h.ctx.Done(), h.failure.failed, nil) == 0 {
	}
}

// lookForRoom reports whether it makes sense to look again. Where the file system does
// not answer this time, all stays as it was.
func (h *Host) lookForRoom() bool {
	r := &h.disk.room
	free, total, err := h.cfg.FS.Space(h.cfg.Dir)
	if err != nil {
		return !errors.Is(err, errors.ErrUnsupported)
	}
	r.free.Store(free)
	h.changeRoom(func() { r.level.Store(levelAt(r.level.Load(), free, h.cfg.reserve(total))) })
	return true
}

// changeRoom tells of a change, if it is one to those who propose.
func (h *Host) changeRoom(change func()) {
	r := &h.disk.room
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.short()
	change()
	switch now := r.short(); {
	case now && !was:
		h.tell(Event{Kind: DiskFull})
		h.cfg.Logger.Warn("the disk has little room left: commands are refused here until there is more", "dir", h.cfg.Dir, "free_bytes", r.free.Load())
	case was && !now:
		h.tell(Event{Kind: DiskHasRoom})
		h.cfg.Logger.Info("the disk has room again: commands are taken", "dir", h.cfg.Dir, "free_bytes", r.free.Load())
	}
}

// giveWay lets another voter lead a group whose commands this node has to refuse: one
// after another is asked, since those that are short of room, too, do not answer.
// Meanwhile, and where none of them can, this node goes on leading, and reads go on.
func (g *Group) giveWay(core *raft.Raft) {
	h := g.host
	if h.loop.ticks < g.way.next {
		return
	}
	g.way.next = h.loop.ticks + 4*uint64(h.cfg.electionTicks())
	config, _ := core.Members()
	for range config.Members {
		g.way.asked++
		m := config.Members[g.way.asked%len(config.Members)]
		if m.Role == membership.Voter && m.ID != h.id && core.Transfer(m.ID) == nil {
			return
		}
	}
}

// letOthersLead gives way where this node's own writes wait for room. Its state machines
// stand still with them: reads and callers here would wait, although a majority may have
// what they wait for, and if nobody asks for anything new, nothing is refused.
func (h *Host) letOthersLead() {
	if !h.disk.room.stuck.Load() || h.loop.ticks%uint64(h.cfg.electionTicks()) != 0 {
		return
	}
	h.loop.engine.Awake(func(id GroupID, core *raft.Raft) { // who sleeps has nothing to write
		if leader, _ := core.Leader(); leader == h.id {
			h.group(id).giveWay(core)
		}
	})
}

// way is when another node is to be asked next to lead a group, and whom.
type way struct {
	next  uint64 // a tick
	asked int
}

// spared reports whether a message must not reach its core for want of room: a leader's
// entries, which could not be kept, and its wish that this node should lead.
func (h *Host) spared(m *raft.Message) bool {
	return m.Kind == raft.TimeoutNow && h.disk.room.short() || len(m.Span.Entries) > 0 && h.disk.room.none()
}

// await waits for something to write, and if there is something that found no room, for
// a while at most.
func (w *writer) await() {
	if !w.held.any() {
		w.host.cfg.Env.Wait(nil, w.wake, nil, nil)
		return
	}
	timer := w.host.cfg.Env.NewTimer(roomRetry)
	defer timer.Stop()
	w.host.cfg.Env.Wait(timer, w.wake, nil, nil)
}

// hold takes out of p what has to wait, because the rest of its records met err; it
// returns that if it is not for want of room. A group with entries among them
// waits as a whole, since its writes have an order. The others have terms and votes to
// write, and beginnings of logs, for which there should be room.
func (w *writer) hold(p *promises, rest []codec.Record, err error) error {
	if !errors.Is(err, wal.ErrNoSpace) {
		return err
	}
	waits := map[GroupID]bool{}
	for i := range rest {
		if len(rest[i].Write.Append.Entries) > 0 {
			waits[rest[i].Group] = true
		}
	}
	p.records = rest
	held := p.takeOut(waits)
	rest, err = w.append(p.records)
	if errors.Is(err, wal.ErrNoSpace) {
		for i := range rest {
			waits[rest[i].Group] = true
		}
		p.records, err = rest, nil
		more := p.takeOut(waits)
		held = held.followedBy(&more)
	}
	w.held = w.held.followedBy(&held)
	return err
}

// sayHeld notes whether something waits for room.
func (w *writer) sayHeld() {
	if held := w.held.any(); held != w.room.stuck.Load() {
		w.host.changeRoom(func() { w.room.stuck.Store(held) })
	}
}

// maxHeld is how many messages wait for room at most. More are dropped, the oldest first,
// as a network could: who asked will ask again.
const maxHeld = 1 << 12

// takeOut removes what is about some groups, and returns it.
func (p *promises) takeOut(groups map[GroupID]bool) (out promises) {
	out.records, p.records = split(p.records, func(r *codec.Record) bool { return groups[r.Group] })
	out.after, p.after = split(p.after, func(m *codec.Envelope) bool { return groups[m.Group] })
	out.written, p.written = split(p.written, func(w *engine.Written) bool { return groups[w.Group] })
	out.install, p.install = split(p.install, func(in *engine.Install) bool { return groups[in.Group] })
	out.kept, p.kept = split(p.kept, func(k *awaited) bool {
		return slices.ContainsFunc(k.records, func(r codec.Record) bool { return groups[r.Group] })
	})
	return out
}

// split returns the elements that are wanted and those that are not, in their order.
func split[T any](all []T, wanted func(*T) bool) (yes, no []T) {
	for i := range all {
		if wanted(&all[i]) {
			yes = append(yes, all[i])
		} else {
			no = append(no, all[i])
		}
	}
	return yes, no
}

func (p *promises) any() bool { return len(p.records) > 0 }

// followedBy is p and then q.
func (p *promises) followedBy(q *promises) promises {
	after := slices.Concat(p.after, q.after)
	return promises{
		records: slices.Concat(p.records, q.records),
		after:   after[max(0, len(after)-maxHeld):],
		written: slices.Concat(p.written, q.written),
		install: slices.Concat(p.install, q.install),
		kept:    slices.Concat(p.kept, q.kept),
	}
}
