package quorate

import (
	"errors"
	"fmt"
	"slices"
	"time"

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
		if err := m.takeOver(base); err != nil {
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

// takeOver replaces the state by that of a snapshot that a leader has sent: it was staged,
// or stored.
func (m *machine) takeOver(id raft.EntryID) error {
	if s := m.staging(); s != nil {
		adopted, err := s.Adopt(id.Index)
		if err != nil {
			return fmt.Errorf("quorate: snapshot %v cannot be adopted: %w", id, err)
		}
		if adopted {
			m.applied, m.ahead = id.Index, 0
			return nil
		}
	}
	return m.load(id)
}

// staging is nil if the state machine does not stage.
func (m *machine) staging() StagingStateMachine {
	s, _ := m.sm.(StagingStateMachine)
	return s
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
	if err := m.takeOver(s.ID); err != nil {
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
	m.group.host.inbox.applied(m.group.id, m.applied)
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
	return m.compactNow()
}

// compactNow makes the state durable and then lets go of the log that led to it.
func (m *machine) compactNow() error {
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
	h := m.group.host
	h.logs.saving.Add(1)
	m.use(func() {
		err := m.save(view, at)
		h.logs.saving.Add(-1)
		m.saved(err)
	})
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
		if h.cfg.Env.Wait(timer, h.ctx.Done(), m.group.Stopped(), nil) != 0 {
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
	m.letGo(at)
	h.inbox.do(func() {
		_ = h.loop.engine.Do(m.group.id, func(core *raft.Raft) error { // refused: then at the next occasion
			core.Applied(at)
			was := core.Base()
			behind, pinned := h.logs.kept(&h.cfg, len(h.all()))
			err := core.Compact(m.group.sending.pinned(core, keepBehind(core, at, h.cfg.SnapshotEntries/2, behind), pinnedSnapshots*h.cfg.SnapshotEntries, pinned))
			m.group.footprint.rest = int64(core.LogBytes())
			if now := core.Base(); now != was {
				h.tell(Event{Kind: LogCompacted, Group: m.group.id, Index: now.Index})
			}
			return err
		})
	})
}

// keepBehind returns the index at which the log should now begin: so many entries
// before the given one, but at most so many bytes of them.
func keepBehind(core *raft.Raft, at raft.Index, count, limit uint64) raft.Index {
	base := core.Base().Index
	from := max(base, at-min(at, raft.Index(count)))
	entries := core.Entries(from, at, ^uint64(0))
	var bytes uint64
	for i := len(entries) - 1; i >= 0; i-- {
		if bytes += entries[i].Size(); bytes > limit {
			return entries[i].Index
		}
	}
	return from
}
