package quorate

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// logs is the memory that the entries in the logs of all groups take on this host. Each
// log is compacted every SnapshotBytes, but there may be thousands of them. When all
// together have half of the limit, the largest are compacted early, until they have three
// eighths, and little is kept for followers that lag. Should entries come faster than
// that, or what a log holds cannot be let go of, a group that has more than its
// share takes no more from three quarters on.
type logs struct {
	limit  int64        // bytes
	bytes  atomic.Int64 // of all groups
	saving atomic.Int32 // snapshots of groups' own states that are being written

	pressed bool     // there is too much; owned by the loop
	due     []*Group // whose logs are too long, the longest last; owned by the loop
}

// maxEarly is how many snapshots may be written before no further one is taken early, and
// how many logs are looked after in a tick.
const maxEarly = 4

// footprint is what a group has of that.
type footprint struct {
	bytes int64       // owned by the loop
	rest  int64       // what the last compaction had to leave; owned by the loop
	asked atomic.Bool // the state machine has yet to come to a compaction
}

// noteLog notes how long the log is. The loop calls it whenever that may have changed.
func (g *Group) noteLog(bytes int64) {
	if was := g.footprint.bytes; was != bytes {
		g.footprint.bytes = bytes
		g.host.logs.bytes.Add(bytes - was)
	}
}

// share is what each group may have in any case, in bytes: a quarter, shared out.
func (l *logs) share(groups int) int64 { return l.limit / 4 / int64(max(1, groups)) }

// kept is how many bytes of the log stay behind a compaction for followers that are a
// little behind, and for those that are being sent a snapshot.
func (l *logs) kept(cfg *Config, groups int) (behind, pinned uint64) {
	behind, pinned = cfg.SnapshotBytes/4, pinnedSnapshots*cfg.SnapshotBytes
	if l.pressed {
		// Compacted logs must add up to less than what ends the pressure.
		behind = min(behind, uint64(l.share(groups)/2))
		pinned = min(pinned, uint64(l.limit/32)) // of 2*maxSending groups at most
	}
	return behind, pinned
}

// crammed reports whether the group's log may not grow for now, so long as it has bytes.
// What a compaction could not let go of does not count: it may need what comes next, a
// later commit or the end of a transfer, before it can.
func (g *Group) crammed(bytes int64) bool {
	l := &g.host.logs
	return l.bytes.Load()+bytes-g.footprint.bytes > l.limit/4*3 && bytes-g.footprint.rest > l.share(len(g.host.all()))
}

// tick lets the longest logs be compacted if all together are too long. Each is asked once
// in a round: one that can let go of nothing keeps nobody from his turn.
func (l *logs) tick(h *Host) {
	switch bytes := l.bytes.Load(); {
	case bytes > l.limit/2:
		l.pressed = true
	case bytes <= l.limit/8*3:
		l.pressed, l.due = false, nil
	}
	if l.pressed && len(l.due) == 0 && h.loop.ticks%uint64(h.cfg.electionTicks()) == 0 {
		l.due = l.longest(h.all())
	}
	for range min(maxEarly-int(l.saving.Load()), len(l.due)) {
		last := len(l.due) - 1
		l.due[last].machine.askToCompact()
		l.due = l.due[:last]
	}
}

// longest returns the groups that have more than their share, the longest log last.
func (l *logs) longest(groups []*Group) (long []*Group) {
	share := l.share(len(groups))
	for _, g := range groups {
		if g.footprint.bytes > share {
			long = append(long, g)
		}
	}
	slices.SortFunc(long, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(a.footprint.bytes, b.footprint.bytes), cmp.Compare(a.id, b.id))
	})
	return long
}

// askToCompact lets the state machine compact the log once it comes to it. It is called
// by the loop.
func (m *machine) askToCompact() {
	asked := &m.group.footprint.asked
	if asked.CompareAndSwap(false, true) {
		m.put(job{run: func() error {
			asked.Store(false)
			return m.compactEarly()
		}})
	}
}

// compactEarly compacts the log although little was applied since the last time.
func (m *machine) compactEarly() error {
	switch {
	case m.saving.Load():
		return nil // the log is compacted when that has ended
	case m.applied < m.ahead:
		// The state is ahead of the log, which is to be given back what it has lost.
		g := m.group
		g.host.inbox.do(func() { g.footprint.rest = g.footprint.bytes })
		return nil
	case m.since == backlog{}:
		m.compact(m.held()) // the state is safe; some of the log was kept for others
		return nil
	case m.group.host.logs.saving.Load() >= maxEarly:
		return nil // in another round
	}
	return m.compactNow()
}
