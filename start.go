package quorate

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// Start runs a group on this host, from where it stopped, or from its beginning.
func (h *Host) Start(cfg GroupConfig) (*Group, error) {
	groups, err := h.StartAll([]GroupConfig{cfg})
	if err != nil {
		return nil, err
	}
	return groups[0], nil
}

// StartAll runs groups on this host, all or none. Those that begin are written
// together, with one sync, so that thousands take no longer than their state
// machines need.
func (h *Host) StartAll(cfgs []GroupConfig) ([]*Group, error) {
	var groups []*Group
	for _, cfg := range cfgs {
		if cfg.StateMachine == nil || cfg.ID == 0 {
			return nil, errors.New("quorate: a group needs an ID other than zero and a state machine")
		}
		groups = append(groups, newGroup(h, cfg))
	}
	if twice := h.groups.add(groups); twice != nil {
		return nil, fmt.Errorf("quorate: group %d runs on this host already", twice.id)
	}
	cores, err := h.recoverAll(groups, cfgs)
	if err == nil {
		err = h.ask(func() error { return h.enter(groups, cores) })
	}
	if err != nil {
		h.groups.remove(groups)
		return nil, err
	}
	return groups, nil
}

// recoverAll loads the state machines and returns the cores, as the disk says or, of
// groups that it does not know, as they are about to begin.
func (h *Host) recoverAll(groups []*Group, cfgs []GroupConfig) (cores []*raft.Raft, err error) {
	saved := make([]*raft.Saved, len(groups))
	defer func() {
		if err != nil {
			h.keepSaved(groups, saved)
		}
	}()
	var begin []codec.Record
	for i, g := range groups {
		if saved[i] = h.takeSaved(g.id); saved[i] != nil && saved[i].State.Term == retired {
			return nil, fmt.Errorf("%w (group %d)", ErrRemoved, g.id)
		}
		if saved[i] != nil {
			if g.adopt(saved[i]) {
				begin = append(begin, codec.Record{Group: g.id, Write: raft.Write{State: saved[i].State, Base: &saved[i].Base}})
			}
			continue
		}
		saved[i] = &raft.Saved{}
		if len(cfgs[i].Members) > 0 {
			if *saved[i], err = h.beginning(cfgs[i]); err != nil {
				return nil, err
			}
			if from := cfgs[i].From; from > raft.BootstrapID.Index {
				// Who comes later gets a snapshot: no log leads to what these have.
				saved[i].Base.ID.Index, saved[i].State.Commit = from, from
			}
		}
		saved[i].State.Injured = h.forgetful()
		if len(cfgs[i].Members) == 0 {
			continue // it waits to be invited
		}
		begin = append(begin, codec.Record{Group: g.id, Write: raft.Write{State: saved[i].State, Base: &saved[i].Base}})
	}
	if len(begin) > 0 {
		if err := h.disk.bootstrap(h.ctx, begin); err != nil {
			return nil, err
		}
	}
	return h.loadAll(groups, saved)
}

// loaders is how many state machines are loaded at a time.
const loaders = 4

// loadAll loads the state machines, some at a time, and returns the cores.
func (h *Host) loadAll(groups []*Group, saved []*raft.Saved) ([]*raft.Raft, error) {
	cores, errs := make([]*raft.Raft, len(groups)), make([]error, len(groups))
	var next atomic.Int64
	var failed atomic.Bool
	var all env.Tasks
	for range min(loaders, len(groups)) {
		all.Go(h.cfg.Env, func() {
			for i := int(next.Add(1)) - 1; i < len(groups) && !failed.Load(); i = int(next.Add(1)) - 1 {
				if cores[i], errs[i] = groups[i].recover(saved[i]); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	all.Wait(h.cfg.Env)
	return cores, errors.Join(errs...)
}

// enter hands the cores to the engine.
func (h *Host) enter(groups []*Group, cores []*raft.Raft) error {
	for i, g := range groups {
		if err := h.loop.engine.Add(g.id, cores[i], cores[i].Status().Applied); err != nil {
			return err
		}
		g.startEarly(cores[i], 2*ticksPerHeartbeat+h.cfg.Env.Uint64()%uint64(h.cfg.electionTicks()))
	}
	return nil
}

// recover loads the state machine and returns the core.
func (g *Group) recover(saved *raft.Saved) (*raft.Raft, error) {
	h := g.host
	applied, err := g.machine.recover(saved)
	if err != nil {
		return nil, err
	}
	known := applied
	if saved.State.Injured {
		known = min(known, max(saved.State.Commit, saved.Base.ID.Index)) // as raft.New has it
	}
	h.observe(func(o Observer) { o.Recovered(g.id, saved, known) })
	core, err := raft.New(h.cfg.core(h.id, applied), *saved)
	if errors.Is(err, raft.ErrLost) {
		return nil, h.lostForGood(g.id, err)
	}
	if errors.Is(err, raft.ErrAhead) {
		return nil, fmt.Errorf("quorate: group %d: the log in %s ends before entry %d, which the state machine has applied: the log has lost entries, or is not this machine's: "+
			"remove this member from the group, empty its data directory and let it join again (%w)", g.id, filepath.Join(h.cfg.Dir, logDir), applied, err)
	}
	if err != nil {
		return nil, fmt.Errorf("quorate: group %d cannot be started: %w", g.id, err)
	}
	g.machine.applied = core.Status().Applied
	if saved.State.Injured {
		g.machine.ahead = applied
		g.injured = true
		h.cfg.Logger.Warn("the log has lost something of a group; this node's part in it neither votes nor acknowledges until the others have given it back", "group", g.id)
	}
	g.waiting.applied.Index = g.machine.applied
	g.machine.letGo(core.Status().Commit)
	return core, nil
}

// takeSaved returns what the log held of a group, once.
func (h *Host) takeSaved(id GroupID) *raft.Saved {
	h.starting.Lock()
	defer h.starting.Unlock()
	saved := h.saved[id]
	delete(h.saved, id)
	return saved
}

// keepSaved takes back what was given out for groups that could not be started: to
// the next attempt they must not look as if they had never voted.
func (h *Host) keepSaved(groups []*Group, saved []*raft.Saved) {
	h.starting.Lock()
	defer h.starting.Unlock()
	if h.saved == nil {
		h.saved = map[GroupID]*raft.Saved{}
	}
	for i, g := range groups {
		if saved[i] != nil && saved[i].State != (raft.HardState{}) {
			h.saved[g.id] = saved[i]
		}
	}
}
