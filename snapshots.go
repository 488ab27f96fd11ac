package quorate

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// recover brings the state machine to where it was, at or after the log's base,
// and returns the index. A stored snapshot counts only if the log holds its entry:
// a crash may have left one that came from a leader and never reached the log.
func (m *machine) recover(saved *raft.Saved) (raft.Index, error) {
	base := saved.Base.ID
	if m.durable != nil {
		m.applied = m.durable.Applied()
		if m.applied >= base.Index || base == raft.BootstrapID {
			return m.applied, nil
		}
		// The crash came after the log began anew from a snapshot and before
		// the state machine had loaded it.
		if err := m.load(base); err != nil {
			return 0, fmt.Errorf("quorate: group %d: the state machine has applied %d entries, the log begins after %v, and no snapshot that covers what is between can be read: "+
				"remove this member from the group, empty its data directory and let it join again (%w)", m.group.id, m.applied, base, err)
		}
		return base.Index, nil
	}
	ids, err := m.group.host.snaps.List(m.group.id)
	if err != nil {
		return 0, err
	}
	var damage error
	for _, id := range slices.Backward(ids) {
		if !saved.Holds(id) {
			continue
		}
		err := m.load(id)
		if err == nil {
			return id.Index, nil
		}
		damage = errors.Join(damage, err) // an older one may still do
	}
	if base.Index > raft.BootstrapID.Index {
		return 0, errors.Join(damage, fmt.Errorf("quorate: group %d: the log begins after %v, and no snapshot that covers what was before can be read from %s: "+
			"remove this member from the group, empty its data directory and let it join again", m.group.id, base, m.group.host.cfg.Dir))
	}
	return 0, nil
}

// load replaces the state by that of a stored snapshot.
func (m *machine) load(id raft.EntryID) error {
	r, err := m.group.host.snaps.Open(m.group.id, id)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := m.sm.Restore(r); err != nil {
		return fmt.Errorf("quorate: snapshot %v cannot be loaded: %w", id, err)
	}
	m.applied, m.ahead = id.Index, 0
	return nil
}

// held is the index that the state stands for. One that is durable by itself knows
// only of commands: to say more of it than it will say after a restart would
// leave a gap between it and the log.
func (m *machine) held() raft.Index {
	if m.durable == nil {
		return m.applied
	}
	return max(m.durable.Applied(), raft.BootstrapID.Index)
}

// install loads a snapshot that came from the leader. The log begins with it
// already, durably: a crash from here on ends in recover.
func (m *machine) install(s raft.Snapshot) error {
	if err := m.load(s.ID); err != nil {
		return err
	}
	g := m.group
	if m.durable != nil {
		if err := m.durable.Sync(); err != nil {
			return fmt.Errorf("quorate: the state machine cannot be synced: %w", err)
		}
	}
	m.since = backlog{}
	g.host.observe(func(o Observer) { o.Restored(g.id, s.ID) })
	g.waiting.onSnapshot(s.ID)
	g.host.tell(Event{Kind: SnapshotInstalled, Group: g.id, Index: s.ID.Index})
	m.report()
	g.host.cfg.Logger.Info("loaded a snapshot from the leader", "group", g.id, "index", s.ID.Index)
	if m.durable != nil {
		m.prune(s.ID.Index + 1) // it keeps itself
	} else {
		m.prune(s.ID.Index)
	}
	return nil
}

// prune removes the snapshots below the given index. A failure costs only space.
func (m *machine) prune(below raft.Index) {
	h, g := m.group.host, m.group.id
	ids, err := h.snaps.List(g)
	for _, id := range ids {
		if id.Index < below {
			err = errors.Join(err, h.snaps.Remove(g, id))
		}
	}
	if err != nil {
		h.cfg.Logger.Warn("an old snapshot could not be removed", "group", g, "err", err)
	}
}

// maybeCompact lets go of old log entries once enough were applied. SN1: first
// the state must be durable without them.
func (m *machine) maybeCompact() error {
	cfg := &m.group.host.cfg
	if m.since.entries < cfg.SnapshotEntries && m.since.bytes < cfg.SnapshotBytes || m.saving.Load() || m.applied < m.ahead {
		return nil
	}
	m.since = backlog{}
	at := m.held()
	if m.durable != nil {
		if err := m.durable.Sync(); err != nil {
			return fmt.Errorf("quorate: the state machine cannot be synced: %w", err)
		}
		m.compact(at)
		return nil
	}
	view, err := m.sm.Snapshot()
	if err != nil {
		return fmt.Errorf("quorate: no snapshot can be taken: %w", err)
	}
	m.saving.Store(true)
	m.group.host.start(func() { m.saved(m.save(view, at)) })
	return nil
}

// saved looks whether enough was applied meanwhile for the next snapshot: if nothing
// is applied any more, nothing else would. After a failure there is one in any case,
// later and later: the disk may be full, and only a snapshot lets old log entries go.
func (m *machine) saved(err error) {
	due := backlog{}
	if h := m.group.host; err != nil {
		m.patience = min(max(2*m.patience, leastPatience), 60*leastPatience)
		h.cfg.Logger.Warn("a snapshot could not be saved; the log is not compacted", "group", m.group.id, "err", err, "again_in", m.patience)
		timer := h.cfg.Env.NewTimer(m.patience)
		defer timer.Stop()
		if h.cfg.Env.Wait(timer, h.ctx.Done(), m.group.ended, nil) != 0 {
			return
		}
		due = backlog{h.cfg.SnapshotEntries, h.cfg.SnapshotBytes}
	} else {
		m.patience = 0
	}
	m.saving.Store(false)
	m.put(job{run: func() error {
		m.since.entries += due.entries
		m.since.bytes += due.bytes
		return m.maybeCompact()
	}})
}

// leastPatience is how soon a snapshot is tried again that could not be saved.
const leastPatience = time.Second

// save writes a view of the state at the given index to the snapshot store, and
// then lets the log be compacted.
func (m *machine) save(view View, at raft.Index) (err error) {
	defer func() { err = errors.Join(err, view.Close()) }()
	meta, err := m.group.snapshotAt(at)
	if err != nil {
		return err
	}
	w, err := m.group.host.snaps.Create(m.group.id, meta)
	if err != nil {
		return err
	}
	if _, err := view.WriteTo(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.Commit(); err != nil {
		return err
	}
	m.group.host.tell(Event{Kind: SnapshotTaken, Group: m.group.id, Index: at})
	m.compact(at)
	m.prune(at)
	return nil
}

// snapshotAt names the state at an index that was applied.
func (g *Group) snapshotAt(at raft.Index) (meta raft.Snapshot, err error) {
	err = g.do(func(core *raft.Raft) error {
		core.Applied(at) // the report of it may still be on its way
		meta, err = core.SnapshotAt(at)
		return err
	})
	return meta, err
}

// compact drops the log up to a little before the index: a follower that is
// only a little behind shall not need a snapshot.
func (m *machine) compact(at raft.Index) {
	h := m.group.host
	h.inbox.do(func() {
		_ = h.loop.engine.Do(m.group.id, func(core *raft.Raft) error { // refused: then at the next occasion
			core.Applied(at)
			was := core.Base()
			err := core.Compact(m.group.sending.pinned(core, keepBehind(core, at, &h.cfg), &h.cfg))
			if now := core.Base(); now != was {
				h.tell(Event{Kind: LogCompacted, Group: m.group.id, Index: now.Index})
			}
			return err
		})
	})
}

// keepBehind returns the index at which the log should now begin: half a
// snapshot's distance in entries before the given one, but at most a quarter of
// one in bytes.
func keepBehind(core *raft.Raft, at raft.Index, cfg *Config) raft.Index {
	base := core.Base().Index
	from := max(base, at-min(at, raft.Index(cfg.SnapshotEntries/2)))
	entries := core.Entries(from, at, ^uint64(0))
	var bytes uint64
	for i := len(entries) - 1; i >= 0; i-- {
		if bytes += uint64(len(entries[i].Data)); bytes > cfg.SnapshotBytes/4 {
			return entries[i].Index
		}
	}
	return from
}

// sendSnapshot streams the state of this node to a follower that needs entries
// from before the log's start, and reports how that ended. It is called by the
// loop.
func (h *Host) sendSnapshot(m codec.Envelope) {
	g, to := h.group(m.Group), m.Message.To
	if g == nil || g.sending[to] != 0 {
		return // one at a time; the core asks again if it comes to nothing
	}
	if g.sending == nil {
		g.sending = snapshots{}
	}
	g.sending[to] = max(1, m.Message.Snapshot.ID.Index) // what goes is this or newer
	g.machine.put(job{run: func() error {
		if err := h.sending.begin(); err != nil { // before the view: it may be dear
			h.snapshotSent(g, to, 0, err)
			return nil
		}
		view, err := g.machine.sm.Snapshot()
		at := g.machine.held()
		h.start(func() {
			defer h.sending.end()
			if err == nil {
				err = g.stream(view, at, m)
			}
			h.snapshotSent(g, to, at, err)
		})
		return nil // what went wrong is told with the transfer
	}})
}

func (h *Host) snapshotSent(g *Group, to NodeID, at raft.Index, err error) {
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, errManySnapshots) {
			level = slog.LevelDebug // with many groups that is how a new member is served
		}
		h.cfg.Logger.Log(h.ctx, level, "a snapshot did not reach a follower", "group", g.id, "to", fmt.Sprintf("%016x", uint64(to)), "err", err)
		at = 0
	}
	h.inbox.do(func() {
		delete(g.sending, to)
		_ = h.loop.engine.Do(g.id, func(core *raft.Raft) error { // a group that is gone sends nothing more
			core.SnapshotSent(to, at)
			return nil
		})
	})
}

// stream sends the view as the snapshot that the message announces, or a newer
// one: the state as it is now.
func (g *Group) stream(view View, at raft.Index, m codec.Envelope) (err error) {
	defer func() { err = errors.Join(err, view.Close()) }()
	meta, err := g.snapshotAt(at)
	if err != nil {
		return err
	}
	h := g.host
	h.inbox.do(func() { g.sending[m.Message.To] = at })
	m.Message.Snapshot = &meta
	s, err := h.peers.OpenStream(h.ctx, m.Message.To, codec.AppendMessage(nil, &m))
	if err != nil {
		return err
	}
	if _, err := view.WriteTo(&paced{to: s, pace: &h.sending.pace, rate: h.cfg.SnapshotRate, env: h.cfg.Env, ctx: h.ctx}); err != nil {
		s.Close()
		return err
	}
	return s.CloseAndWait()
}

// receiveSnapshot stores a snapshot that a leader streams and, once it is whole
// and durable, tells the core.
func (h *Host) receiveSnapshot(from NodeID, header []byte, body io.Reader) error {
	m, err := codec.DecodeMessage(header)
	if err != nil {
		return err
	}
	if m.Message.Kind != raft.InstallSnapshot || m.Message.From != from || m.Message.To != h.id {
		return errors.New("quorate: a stream that is no snapshot for this node")
	}
	if err := m.Message.Check(); err != nil {
		return err
	}
	if h.disk.room.none() {
		return ErrDiskFull
	}
	g := h.group(m.Group)
	if g == nil {
		return fmt.Errorf("quorate: there is no group %d on this node", m.Group)
	}
	term := uint64(m.Message.Term)
	if !g.machine.receive(term) {
		return errors.New("quorate: another snapshot is being received")
	}
	defer g.machine.receiving.CompareAndSwap(term, 0)
	needed := false
	if err := g.do(func(core *raft.Raft) error { needed = core.Needs(*m.Message.Snapshot); return nil }); err != nil {
		return err
	}
	if needed {
		if err := h.store(&m, body); err != nil {
			return err
		}
	}
	// Needed or not, the core answers its leader.
	return h.ask(func() error { return h.loop.engine.Step(&m) })
}

// receive reports whether a leader's snapshot may be received: one at a time, but a
// later leader need not wait for an earlier one, which may have died over it and
// would be waited for until its stream is given up.
func (m *machine) receive(term uint64) bool {
	for now := m.receiving.Load(); now < term; now = m.receiving.Load() {
		if m.receiving.CompareAndSwap(now, term) {
			return true
		}
	}
	return false
}

// store puts a snapshot on the disk.
func (h *Host) store(m *codec.Envelope, body io.Reader) error {
	w, err := h.snaps.Create(m.Group, *m.Message.Snapshot)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, body); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit()
}
