package flight

import "github.com/quorate-db/quorate/raft"

// Recorder records the cores of one node. It is not safe for concurrent use.
type Recorder struct {
	window uint64    // microseconds
	limit  int       // bytes of all tapes
	deck   raft.Deck // its clock: microseconds since 1970
	bytes  int

	groups map[raft.GroupID]*reels
	oldest []*reel // by when they began; some may have been let go
}

// reels are the tapes of one group.
type reels struct {
	core     *raft.Raft
	old, now *reel // nil: none
}

// reel is one tape.
type reel struct {
	group raft.GroupID
	tape  *raft.Tape // nil once it was let go
	bytes int        // as counted
	until uint64     // when the next one begins, if there are inputs then
}

// New returns a recorder that keeps up to a window, in microseconds, as far as all
// tapes together take no more than limit bytes.
func New(window uint64, limit int) *Recorder {
	return &Recorder{window: window, limit: limit, groups: map[raft.GroupID]*reels{}}
}

// Bytes is the memory that all tapes take.
func (r *Recorder) Bytes() int { return r.bytes }

// Clock sets the time, in microseconds since 1970, and lets go of what is older than
// the window.
func (r *Recorder) Clock(now uint64) {
	r.deck.Clock = max(r.deck.Clock, now)
	// A tape takes inputs for half of the window at most.
	for len(r.oldest) > 0 && (r.oldest[0].tape == nil || r.oldest[0].tape.Began()+r.window+r.window/2 < r.deck.Clock) {
		r.drop()
	}
}

// Tend sees to the recording of a core. It is to be called each time after Take.
func (r *Recorder) Tend(id raft.GroupID, core *raft.Raft) {
	g := r.groups[id]
	if g == nil || g.core != core {
		r.Forget(id)
		g = &reels{core: core}
		r.groups[id] = g
	}
	for _, t := range []*reel{g.old, g.now} {
		if t != nil && core.Asleep() { // for long, and as one of many
			t.tape.Clip()
			r.count(t)
		}
	}
	if g.now != nil {
		r.count(g.now)
	}
	if t := g.now; (t == nil || r.deck.Clock >= t.until || t.tape.Len() > r.limit/share) && r.room() {
		r.turn(id, g)
	}
	r.fit()
}

// room reports whether a tape may begin. Where there is more to remember than fits, no
// tape makes way for another before it has been of some use: to begin one takes time.
func (r *Recorder) room() bool {
	if r.bytes <= r.limit/4*3 {
		return true
	}
	for len(r.oldest) > 0 && r.oldest[0].tape == nil {
		r.oldest = r.oldest[1:]
	}
	return len(r.oldest) > 0 && r.oldest[0].tape.Began()+r.window/4 < r.deck.Clock
}

// share is what part of the memory one tape may take: a group that has much to do
// forgets its own past before that of others. Tapes grow by doubling, so that the two of
// one group take half of the memory at most.
const share = 8

// turn begins the next tape of a group.
func (r *Recorder) turn(id raft.GroupID, g *reels) {
	var memory *raft.Tape
	if g.old != nil {
		memory = g.old.tape
		r.release(g.old)
	}
	// Groups that began together shall not turn together: it takes a few
	// nanoseconds for each entry of a log.
	half := r.window / 2
	length := half/2 + uint64(id)*golden>>32%(half/2+1)
	next := &reel{group: id, tape: g.core.Record(&r.deck, memory), until: r.deck.Clock + length}
	g.old, g.now = g.now, next
	r.count(next)
	r.oldest = append(r.oldest, next)
}

const golden = 0x9e3779b97f4a7c15

func (r *Recorder) count(t *reel) {
	size := t.tape.Size()
	r.bytes += size - t.bytes
	t.bytes = size
}

func (r *Recorder) release(t *reel) {
	r.bytes -= t.bytes
	t.bytes, t.tape = 0, nil
}

// fit lets go of the oldest tapes until the others have room.
func (r *Recorder) fit() {
	for r.bytes > r.limit && len(r.oldest) > 0 {
		r.drop()
	}
}

// drop lets go of the tape that began first.
func (r *Recorder) drop() {
	t := r.oldest[0]
	r.oldest[0] = nil
	r.oldest = r.oldest[1:]
	if t.tape == nil {
		return
	}
	r.release(t)
	g := r.groups[t.group]
	if g.now != t {
		g.old = nil
		return
	}
	g.core.Record(nil, nil)
	delete(r.groups, t.group)
}

// Forget lets go of all that is known of a group.
func (r *Recorder) Forget(id raft.GroupID) {
	g := r.groups[id]
	if g == nil {
		return
	}
	for _, t := range []*reel{g.old, g.now} {
		if t != nil {
			r.release(t)
		}
	}
	g.core.Record(nil, nil)
	delete(r.groups, id)
}

// Dump returns what is known of a group; nothing, if none of it is. Why is the broken
// invariant, empty if none broke.
func (r *Recorder) Dump(id raft.GroupID, why string) (Dump, bool) {
	g := r.groups[id]
	if g == nil || g.now == nil {
		return Dump{}, false
	}
	d := Dump{Node: g.core.Status().ID, Group: id, At: r.deck.Clock, Why: why}
	for _, t := range []*reel{g.old, g.now} {
		if t != nil {
			d.Tapes = append(d.Tapes, t.tape)
		}
	}
	if why == "" {
		d.End = g.core.AppendState(nil)
	}
	return d, true
}
