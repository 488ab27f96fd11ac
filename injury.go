package quorate

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/wal"
)

// A log that has lost something is salvaged: the groups that may be hurt by it start
// injured, and take part again once their peers have given back what matters. What
// that is and when it is over, package raft decides (rules IN1 to IN5).

// maySalvage refuses to go on with a damaged log if it held a group that nobody else
// has: it could only go on by forgetting.
func (h *Host) maySalvage(saved map[GroupID]*raft.Saved) error {
	for _, id := range slices.Sorted(maps.Keys(saved)) {
		if id == nodeGroup || !saved[id].State.Injured {
			continue
		}
		if _, err := raft.New(raft.Config{ID: max(h.id, 1)}, *saved[id]); errors.Is(err, raft.ErrLost) {
			return h.lostForGood(id, err)
		}
	}
	return nil
}

func (h *Host) lostForGood(id GroupID, err error) error {
	return fmt.Errorf("quorate: group %d: %w: nobody can give it back; restore the group from a backup, or, if it has other members, "+
		"remove this one, empty its data directory and let it join again", id, err)
}

// tellDamage says where the log was damaged.
func (h *Host) tellDamage(log *wal.Log) {
	for _, d := range log.Damage() {
		h.cfg.Logger.Warn("the log is damaged; groups that may be hurt by it start injured and heal from their peers; have the disk looked at",
			"file", d.Path, "offset", d.Offset, "why", d.Why)
	}
}

// forgetful reports whether the log may have lost all that it had of some group.
func (h *Host) forgetful() bool {
	h.starting.Lock()
	defer h.starting.Unlock()
	return h.saved[nodeGroup] != nil
}

// adopt lets the log of an injured group begin with the newest stored snapshot, if it
// has lost what leads there, and reports whether it does. Stored snapshots are of
// committed entries only. A state machine that is durable by itself has none.
func (g *Group) adopt(saved *raft.Saved) bool {
	if !saved.State.Injured || g.machine.durable != nil {
		return false
	}
	ids, err := g.host.snaps.List(g.id)
	if err != nil || len(ids) == 0 {
		return false // to load what there is will say why it cannot be
	}
	newest := ids[len(ids)-1]
	if newest.Index <= saved.Base.ID.Index || saved.Holds(newest) {
		return false
	}
	r, err := g.host.snaps.Open(g.id, newest)
	if err != nil {
		g.host.cfg.Logger.Warn("a snapshot cannot be read", "file", filepath.Join(g.host.cfg.Dir, snapshotDir), "err", err)
		return false
	}
	defer r.Close()
	meta := r.Meta()
	if err := saved.Add(raft.Write{Base: &meta}); err != nil {
		return false
	}
	saved.State.Term = max(saved.State.Term, meta.ID.Term)
	return true
}

// noteHealing says when a group is well again.
func (g *Group) noteHealing() {
	if !g.injured {
		return
	}
	err := g.host.loop.engine.Do(g.id, func(core *raft.Raft) error {
		g.injured = core.Injured()
		return nil
	})
	switch {
	case err != nil:
		g.injured = false // a group that has stopped does not heal
	case !g.injured:
		g.host.cfg.Logger.Info("the others have given back what the log had lost; this node's part in the group votes and acknowledges again", "group", g.id)
	}
}
