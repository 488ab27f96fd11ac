package quorate

import (
	"context"
	"fmt"
	"math"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// retired is the term of a group that this node has removed. None is later, so that a
// core which began there would vote for nobody and follow nobody.
const retired = raft.Term(math.MaxUint64)

// Remove ends this node's part in a group for good, whether it was started or not, and
// lets go of what the log and the snapshots hold of it. When it returns nil the state
// machine is not used any more; what a durable one keeps is left to the caller. What
// this node has promised to the group is forgotten too, so that it must never be a
// member of it again under its ID: some bytes stay on the disk, and Start says
// [ErrRemoved].
//
// Take the node out of the members first, unless all of them remove the group. Nobody is
// asked here, and a member that is gone counts for majorities like one that is down. If
// this node leads, another one is asked to take over, as far as ctx allows.
//
// After an error the group may have stopped here; it is there again when the host is
// opened again, unless only the end of ctx, or of the host, kept this node from seeing that
// it is gone. One that has stopped by itself (see [Group.Stopped]) can be removed then.
func (h *Host) Remove(ctx context.Context, id GroupID) error {
	g := h.group(id)
	if g == nil {
		return h.removeSaved(ctx, id)
	}
	h.handOver(ctx, []*Group{g})
	mark := &raft.Saved{}
	err := h.ask(func() error {
		err := h.loop.engine.Do(id, func(core *raft.Raft) error {
			s := core.Status()
			mark = markOf(s.Last, s.Config)
			return nil
		})
		if err == nil {
			h.drop(g)
			h.loop.book.forget(h, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("quorate: group %d cannot be removed before the host is opened again: %w", id, asRefusal(err))
	}
	if err := g.machine.finish(ctx); err != nil {
		return fmt.Errorf("quorate: group %d has stopped here, and is not removed: %w", id, err)
	}
	h.keepSaved([]*Group{g}, []*raft.Saved{mark})
	defer h.groups.remove([]*Group{g})
	return h.retire(ctx, id, mark)
}

// removeSaved removes a group that was not started.
func (h *Host) removeSaved(ctx context.Context, id GroupID) error {
	h.starting.Lock()
	saved := h.saved[id]
	if saved != nil && saved.State.Term != retired {
		last := saved.Base.ID
		if n := len(saved.Entries); n > 0 {
			last = saved.Entries[n-1].EntryID
		}
		saved = markOf(last, saved.Base.Config)
		h.saved[id] = saved
	}
	h.starting.Unlock()
	if saved == nil {
		return fmt.Errorf("%w: %d", engine.ErrNoGroup, id)
	}
	return h.retire(ctx, id, saved)
}

// markOf is what is left of a group that was removed. Its base covers all entries, and so
// frees them.
func markOf(last raft.EntryID, config membership.Config) *raft.Saved {
	return &raft.Saved{State: raft.HardState{Term: retired, Commit: last.Index}, Base: raft.Snapshot{ID: last, Config: config}}
}

// retire makes it durable that a group was removed, and then lets go of its snapshots.
func (h *Host) retire(ctx context.Context, id GroupID, mark *raft.Saved) error {
	w := raft.Write{State: mark.State}
	if mark.Base.ID != (raft.EntryID{}) { // otherwise it still waited to be invited
		w.Base = &mark.Base
	}
	if err := h.disk.bootstrap(ctx, []codec.Record{{Group: id, Write: w}}); err != nil {
		return err
	}
	h.cfg.Logger.Info("a group was removed from this node", "group", id)
	return h.snaps.Forget(id)
}

// forgetRetired lets go of snapshots that a crash has left of groups that were removed.
func (h *Host) forgetRetired() error {
	for id, saved := range h.saved { //order: each by itself
		if saved.State.Term == retired {
			if err := h.snaps.Forget(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop ends a group's part in the loop, which calls it.
func (h *Host) drop(g *Group) {
	h.loop.engine.Remove(g.id)
	g.weigh(0)
	g.noteLog(0)
	h.loop.life.generation++
	if h.loop.flight != nil {
		h.loop.flight.Forget(g.id)
	}
}

// finish stops the machine after what it has been given so far, and waits until nobody has
// to do with its state any more.
func (m *machine) finish(ctx context.Context) error {
	m.put(job{run: func() error { return ErrRemoved }})
	if err := m.group.host.await(ctx, m.group.Stopped()); err != nil {
		return err
	}
	if idle := m.users.Idle(); idle != nil {
		return m.group.host.await(ctx, idle)
	}
	return nil
}

// await waits for something that a host which ends may never come to.
func (h *Host) await(ctx context.Context, done <-chan struct{}) error {
	switch h.cfg.Env.Wait(nil, done, h.silent, ctx.Done()) {
	case 2:
		return h.closed()
	case 3:
		return ctx.Err()
	}
	return nil
}
