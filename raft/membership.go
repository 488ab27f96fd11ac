package raft

import (
	"slices"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

// Reconfiguration is a wish for another membership.
type Reconfiguration struct {
	Changes []membership.Change // made one upon the other, all or none
	Joint   bool                // go through a joint configuration even where one step would do
	Stay    bool                // and stay in it until Leave

	// Expect, if not zero, is a condition: the configuration in force stands at
	// this index. Somebody who decided by an older one cannot act.
	Expect Index
}

// Change changes one member in one step.
func (r *Raft) Change(change membership.Change, expect Index) (EntryID, error) {
	return r.Reconfigure(Reconfiguration{Changes: []membership.Change{change}, Expect: expect})
}

// Reconfigure appends the next configuration and returns its entry's name. If
// it is more than one change it is a joint one, which is left by itself once it
// is committed, unless Stay is set.
func (r *Raft) Reconfigure(wish Reconfiguration) (EntryID, error) {
	if r.tape != nil {
		wish := wish
		r.tape.note(Input{Kind: reconfigureInput, Wish: &wish})
	}
	if err := r.mayChange(wish.Expect); err != nil {
		return EntryID{}, err
	}
	next, err := r.plan(wish)
	if err != nil {
		return EntryID{}, err
	}
	return r.appendConfig(next), nil
}

// Leave ends a joint configuration that was entered to stay (M4 §6 §4.3 d).
func (r *Raft) Leave() (EntryID, error) {
	if r.tape != nil {
		r.tape.note(Input{Kind: leaveInput})
	}
	if err := r.mayChange(0); err != nil {
		return EntryID{}, err
	}
	next, err := r.members().Leave()
	if err != nil {
		return EntryID{}, err
	}
	id := r.appendConfig(next)
	r.trace(M4, 0, id)
	return id, nil
}

func (r *Raft) mayChange(expect Index) error {
	if err := r.mayPropose(0); err != nil {
		return err
	}
	now := r.log.config()
	switch at, _ := r.log.at(r.commit); {
	case now.index > r.commit:
		// M1 §4.1 d: two steps at once may have majorities without a common node.
		r.trace(M1, 0, EntryID{Index: now.index})
		return ErrChangePending
	case at.Term != r.term:
		// M7 (Ongaro, raft-dev 2015): until then a change of an earlier leader may
		// be pending somewhere else, and be committed beside ours.
		r.trace(M7, 0, at)
		return ErrTooEarly
	case expect != 0 && expect != now.index:
		return ErrStaleChange
	}
	return nil
}

// plan returns the configuration that the wish leads to next. One change moves one
// voter at most, so that a joint configuration is not needed.
func (r *Raft) plan(wish Reconfiguration) (next membership.Config, err error) {
	switch now := r.members(); {
	case len(wish.Changes) == 0:
		return next, membership.ErrBadChange
	case len(wish.Changes) == 1 && !wish.Joint && !wish.Stay:
		next, err = now.Apply(wish.Changes[0])
	default:
		next, err = now.Enter(wish.Stay, wish.Changes...)
	}
	if err != nil {
		return membership.Config{}, err
	}
	for _, change := range wish.Changes {
		// M5 §4.2.1 d: a voter that lags would have to catch up before the
		// group could commit anything without the slowest of the others.
		if change.Kind == membership.Promote && !r.caughtUp(change.Member.ID) {
			r.trace(M5, change.Member.ID, EntryID{})
			return membership.Config{}, ErrNotCaughtUp
		}
	}
	if err := r.mayDecide(next.Quorum()); err != nil {
		return membership.Config{}, err
	}
	return next, nil
}

// mayDecide refuses voters of whom no majority keeps up with us. A change counts from
// its entry on (M2), so that without them nothing could be committed any more, not even
// the change that takes it back: where one of three is dead, to remove another one is to
// lose the group. Who has acknowledged nothing yet may be the dead one; it has an
// election timeout to do so.
func (r *Raft) mayDecide(voters quorum.Joint) error {
	decide := func(sure bool) bool {
		return voters.Committed(func(id NodeID) Index {
			p := r.leading.peer(id)
			if p == nil || !p.silent && r.active(id) && (p.Match > 0 || !sure) {
				return 1
			}
			return 0
		}) > 0
	}
	switch {
	case decide(true):
		return nil
	case r.leading.ticks <= uint64(r.cfg.ElectionTicks) && decide(false):
		return ErrTooEarly
	default:
		return ErrTooFewVoters
	}
}

// appendConfig puts the next configuration into the log. M2 §6 §4.1 d: it counts
// from here on, committed or not: so that both configurations can never decide
// at the same time.
func (r *Raft) appendConfig(next membership.Config) EntryID {
	id := r.append(Entry{Kind: Membership, Config: &next})
	r.trace(M2, 0, id)
	r.followConfig()
	r.check()
	return id
}

// caughtUp reports whether a learner holds all that was committed one heartbeat
// or so ago: it streams, it answers, and less than a message's worth is missing.
func (r *Raft) caughtUp(id NodeID) bool {
	p := r.leading.peer(id)
	if p == nil || r.leading.ticks-p.Heard > uint64(r.cfg.ElectionTicks) || p.Match < r.log.base.Index {
		return false
	}
	missing := r.log.span(p.Match, r.log.last().Index, ^uint64(0)).Entries
	var bytes uint64
	for i := range missing {
		bytes += missing[i].Size()
	}
	return p.Match > 0 && bytes <= r.cfg.MaxMessageBytes
}

// followConfig gives every new member a progress. Those that are leaving keep
// theirs until the change is committed, so that they learn of it.
func (r *Raft) followConfig() {
	for _, m := range r.members().Members {
		if at, found := r.leading.search(m.ID); !found && m.ID != r.cfg.ID {
			r.leading.peers = slices.Insert(r.leading.peers, at, r.newPeer(m.ID, r.leading.ticks))
		}
	}
}

// changeCommitted goes on from a configuration that is committed.
func (r *Raft) changeCommitted() {
	config := r.members()
	if config.Joint() {
		// M4 §6 §4.3 d: a majority of both has it, so that no majority of the
		// old voters alone can decide any more: the new ones may.
		if next, err := config.Leave(); err == nil && !config.Stay {
			r.trace(M4, 0, r.append(Entry{Kind: Membership, Config: &next}))
		}
		return
	}
	r.partFromLeavers(config)
	if config.Voter(r.cfg.ID) {
		return
	}
	// M6 §4.2.2 d: until now we led a group whose majority we did not count in.
	// Somebody who has everything takes over at once instead of by timeout.
	r.trace(M6, 0, EntryID{})
	r.broadcastCommit()
	if to := r.successor(); to != 0 {
		r.sendTimeoutNow(to)
	}
	r.becomeFollower(r.term, 0)
}

// partFromLeavers lets go of members that have left, with a last word that tells
// them so.
func (r *Raft) partFromLeavers(config *membership.Config) {
	r.leading.peers = slices.DeleteFunc(r.leading.peers, func(p peer) bool {
		_, stays := config.Find(p.id)
		if !stays {
			r.beat(&p, 0)
		}
		return !stays
	})
}

// broadcastCommit tells all followers the commit index before we leave.
func (r *Raft) broadcastCommit() {
	for i := range r.leading.peers {
		r.beat(&r.leading.peers[i], 0)
	}
}
