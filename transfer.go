package quorate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
)

// transfer is a snapshot on its way to a follower. If it breaks off, the view of the
// state is kept for a while: another one would be of a later state, and nothing of
// what the follower holds would be of use.
type transfer struct {
	group *Group
	to    NodeID
	begun bool // something of the view was written; owned by who sends

	at     raft.Index      // what goes is the state after this entry, or a later one; owned by the loop
	broken bool            // it waits for another attempt; owned by the loop
	next   *codec.Envelope // of that attempt; nil: there is none. Set before again is signalled
	again  chan struct{}
}

// errAnew says that an attempt cannot be gone on with: the next one takes another view.
var errAnew = errors.New("quorate: this snapshot is not sent on")

// keptTimeouts is for how many election timeouts a view is kept: for longer than a
// core ever pauses between two attempts, which is 64.
const keptTimeouts = 100

// sendSnapshot streams the state of this node to a follower that needs entries
// from before the log's start, and reports how that ended. It is called by the
// loop.
func (h *Host) sendSnapshot(m codec.Envelope) {
	g, to := h.group(m.Group), m.Message.To
	if g == nil {
		return
	}
	announced := max(1, m.Message.Snapshot.ID.Index)
	if t := g.sending[to]; t != nil {
		if !t.broken || t.at >= announced {
			t.goOn(&m)
			return // one at a time; the core asks again if it comes to nothing
		}
		t.goOn(nil) // the log begins after it
	}
	if g.sending == nil {
		g.sending = snapshots{}
	}
	t := &transfer{group: g, to: to, at: announced, again: make(chan struct{}, 1)}
	g.sending[to] = t
	g.machine.put(job{run: func() error {
		if err := h.sending.begin(to); err != nil { // before the view: it may be dear
			t.ended(0, err)
			return nil
		}
		view, err := g.machine.sm.Snapshot()
		at := g.machine.held()
		if err != nil {
			h.sending.end(to)
			t.ended(0, err)
			return nil // what went wrong is told with the transfer
		}
		g.machine.use(func() { t.run(view, at, m) })
		return nil
	}})
}

// goOn makes a transfer that broke off go on, or end if there is nothing to do. It is
// called by the loop.
func (t *transfer) goOn(m *codec.Envelope) {
	if t.broken {
		t.broken, t.next = false, m
		t.again <- struct{}{} // there is room: it was not broken while one was there
	}
}

// run sends the view, in as many attempts as it takes.
func (t *transfer) run(view View, at raft.Index, m codec.Envelope) {
	h := t.group.host
	ctx, cancel := t.group.lasting()
	defer cancel()
	h.inbox.do(func() { t.at = at })
	err := t.stream(ctx, view, at, m)
	h.sending.end(t.to)
	for t.begun && err != nil && !errors.Is(err, errAnew) && h.sending.keep() {
		t.failed(err)
		again := t.await()
		h.sending.letGo()
		if !again {
			t.close(view)
			return
		}
		m = *t.next
		if err = h.sending.begin(t.to); err != nil {
			continue
		}
		err = t.stream(ctx, view, at, m)
		h.sending.end(t.to)
		if errors.Is(err, errAnew) {
			t.close(view)
			h.inbox.do(func() { t.anew(m) })
			return
		}
	}
	t.close(view)
	t.ended(at, err)
}

// await waits for another attempt. If none comes, the transfer is over.
func (t *transfer) await() bool {
	g, h := t.group, t.group.host
	timer := h.cfg.Env.NewTimer(keptTimeouts * h.cfg.ElectionTimeout)
	defer timer.Stop()
	if h.cfg.Env.Wait(timer, t.again, h.ctx.Done(), g.Stopped()) == 1 {
		return t.next != nil
	}
	h.inbox.do(func() {
		if missed := !t.broken; t.leave() && missed {
			g.sent(t.to, 0)
		}
	})
	return false
}

func (t *transfer) close(view View) {
	if err := view.Close(); err != nil {
		t.group.host.cfg.Logger.Warn("a view of the state could not be closed", "group", t.group.id, "err", err)
	}
}

// leave takes a transfer from those of its group, unless another has taken its place.
// It is called by the loop.
func (t *transfer) leave() bool {
	was := t.group.sending[t.to] == t
	if was {
		delete(t.group.sending, t.to)
	}
	return was
}

// anew begins another transfer in place of this one. It is called by the loop.
func (t *transfer) anew(m codec.Envelope) {
	if t.leave() {
		t.group.host.sendSnapshot(m)
	}
}

// failed reports that an attempt has come to nothing, and that there may be another.
func (t *transfer) failed(err error) {
	t.log(err)
	t.group.host.inbox.do(func() {
		t.broken = true
		t.group.sent(t.to, 0)
	})
}

// ended reports how the transfer has ended.
func (t *transfer) ended(at raft.Index, err error) {
	if err != nil {
		t.log(err)
		at = 0
	}
	t.group.host.inbox.do(func() {
		t.leave()
		t.group.sent(t.to, at)
	})
}

func (t *transfer) log(err error) {
	h, level := t.group.host, slog.LevelWarn
	if errors.Is(err, errManySnapshots) {
		level = slog.LevelDebug // with many groups that is how a new member is served
	}
	h.cfg.Logger.Log(h.ctx, level, "a snapshot did not reach a follower", "group", t.group.id, "to", fmt.Sprintf("%016x", uint64(t.to)), "err", err)
}

// sent tells the core what a follower has been sent. It is called by the loop.
func (g *Group) sent(to NodeID, at raft.Index) {
	_ = g.host.loop.engine.Do(g.id, func(core *raft.Raft) error { // a group that is gone sends nothing more
		core.SnapshotSent(to, at)
		return nil
	})
}

// stream sends the view as the snapshot that the message announces, or a newer
// one: the state as it was when the view was taken.
func (t *transfer) stream(ctx context.Context, view View, at raft.Index, m codec.Envelope) error {
	g, h := t.group, t.group.host
	meta, err := g.snapshotAt(at)
	if err != nil {
		return fmt.Errorf("%w: %w", errAnew, err)
	}
	m.Message.Snapshot = &meta
	s, err := h.peers.OpenStream(ctx, t.to, codec.AppendMessage(nil, &m))
	if err != nil {
		return err
	}
	defer s.Close()
	reply, err := s.Reply()
	if err != nil {
		return err
	}
	if reply == nil {
		return s.CloseAndWait() // the follower needs nothing any more
	}
	held, err := decodeHeld(reply)
	if err != nil {
		return err
	}
	if t.begun && held.Size == 0 {
		// Not every view can be written twice, and one that cannot might look like a
		// shorter one. Only what is held shows that this one can.
		return fmt.Errorf("%w: the follower holds nothing of it", errAnew)
	}
	t.begun = true
	w := &onward{stream: s, held: held, to: &paced{to: s, pace: &h.sending.pace, rate: h.cfg.SnapshotRate, env: h.cfg.Env, ctx: ctx}}
	if err := w.send(view); err != nil {
		return err
	}
	if held.Size > 0 {
		h.cfg.Logger.Info("a snapshot went on where it had broken off", "group", g.id, "to", fmt.Sprintf("%016x", uint64(t.to)), "at_byte", held.Size)
	}
	return s.CloseAndWait()
}

// The reply to the header of a snapshot stream is what the receiver holds of it, and
// the stream begins with where it goes on:
//
//	reply  size u64, CRC-32 (IEEE) u32 and CRC-32C u32 of so many bytes of the content
//	from   u64: size, or zero if the content begins otherwise or nothing is held;
//	       the content follows, without so many bytes
const heldSize = 16

func encodeHeld(p snap.Prefix) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(p.Size)), uint64(p.Sum))
}

func decodeHeld(b []byte) (p snap.Prefix, err error) {
	if len(b) != heldSize || int64(binary.LittleEndian.Uint64(b)) < 0 {
		return p, errors.New("quorate: what a follower says that it holds of a snapshot cannot be read")
	}
	return snap.Prefix{Size: int64(binary.LittleEndian.Uint64(b)), Sum: snap.Sum(binary.LittleEndian.Uint64(b[8:]))}, nil
}

// onward writes a snapshot without what the receiver holds, once it has seen that this
// is how the snapshot begins. State machines may write different bytes for one state.
type onward struct {
	to     io.Writer
	stream io.Writer // the same, without a pace
	held   snap.Prefix
	passed snap.Prefix // of what is held
	err    error       // why no more is written
}

// signOfLife is how much is passed over between two signs of life to the receiver, which
// waits, in bytes.
const signOfLife = 64 << 20

// send writes all that the view has.
func (w *onward) send(view View) error {
	if w.held.Size == 0 {
		w.tell(0)
	}
	_, err := view.WriteTo(w)
	if err == nil && w.passed.Size < w.held.Size {
		w.differs()
	}
	if w.err == nil && err != nil {
		return fmt.Errorf("%w: %w", errAnew, err) // it is the view's own
	}
	return w.err
}

func (w *onward) Write(p []byte) (written int, err error) {
	if rest := w.held.Size - w.passed.Size; rest > 0 && w.err == nil {
		written = int(min(rest, int64(len(p))))
		w.pass(p[:written])
	}
	if w.err == nil && written < len(p) {
		var n int
		n, w.err = w.to.Write(p[written:])
		written += n
	}
	return written, w.err
}

// pass takes what the receiver holds, or seems to.
func (w *onward) pass(p []byte) {
	before := w.passed.Size
	w.passed = snap.Prefix{Size: before + int64(len(p)), Sum: w.passed.Sum.Of(p)}
	switch {
	case w.passed == w.held:
		w.tell(w.held.Size)
	case w.passed.Size == w.held.Size:
		w.differs()
	case w.passed.Size/signOfLife > before/signOfLife:
		_, w.err = w.stream.Write(nil)
	}
}

// differs lets the receiver forget what it holds, so that the next attempt begins anew.
func (w *onward) differs() {
	w.tell(0)
	if w.err == nil {
		_, w.err = w.stream.Write(nil) // at once: nothing follows
	}
	if w.err == nil {
		w.err = fmt.Errorf("%w: the follower holds other bytes", errAnew)
	}
}

// tell says where the snapshot goes on.
func (w *onward) tell(from int64) {
	_, w.err = w.stream.Write(binary.LittleEndian.AppendUint64(nil, uint64(from)))
}
