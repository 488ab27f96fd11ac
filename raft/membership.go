package raft

import (
	"slices"

	"github.com/quorate-db/quorate/raft/membership"
)

// Change appends a configuration that differs from the one in force by one
// member, and returns its entry's name. If expect is not zero, the change is
// refused unless the configuration in force stands at that index, so that
// somebody who decided by an old one cannot act.
func (r *Raft) Change(change membership.Change, expect Index) (EntryID, error) {
	before := r.mark()
	if err := r.mayPropose(0); err != nil {
		return EntryID{}, err
	}
	next, err := r.nextConfig(change, expect)
	if err != nil {
		return EntryID{}, err
	}
	// M2 §6 §4.1 d: it counts from here on, committed or not: so that both
	// configurations can never decide at the same time.
	id := r.append(Entry{Kind: Membership, Config: &next})
	r.followConfig()
	r.check(before)
	return id, nil
}

func (r *Raft) nextConfig(change membership.Change, expect Index) (membership.Config, error) {
	now := r.log.config()
	switch at, _ := r.log.at(r.commit); {
	case now.index > r.commit:
		// M1 §4.1 d: two steps at once may have majorities without a common node.
		return membership.Config{}, ErrChangePending
	case at.Term != r.term:
		// M7 (Ongaro, raft-dev 2015): until then a change of an earlier leader may
		// be pending somewhere else, and be committed beside ours.
		return membership.Config{}, ErrTooEarly
	case expect != 0 && expect != now.index:
		return membership.Config{}, ErrStaleChange
	}
	next, err := now.config.Apply(change)
	if err == nil && change.Kind == membership.Promote && !r.caughtUp(change.Member.ID) {
		// M5 §4.2.1 d: a voter that lags would have to catch up before the
		// group could commit anything without the slowest of the others.
		return membership.Config{}, ErrNotCaughtUp
	}
	return next, err
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
		bytes += missing[i].size()
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

// changeCommitted lets go of members that have left, with a last word that tells
// them so, and of the leadership if we have left ourselves.
func (r *Raft) changeCommitted() {
	config := r.members()
	r.leading.peers = slices.DeleteFunc(r.leading.peers, func(p peer) bool {
		_, stays := config.Find(p.id)
		if !stays {
			r.beat(&p, 0)
		}
		return !stays
	})
	if config.Voter(r.cfg.ID) {
		return
	}
	// M6 §4.2.2 d: until now we led a group whose majority we did not count in.
	// Somebody who has everything takes over at once instead of by timeout.
	r.broadcastCommit()
	if to := r.successor(); to != 0 {
		r.sendTimeoutNow(to)
	}
	r.becomeFollower(r.term, 0)
}

// broadcastCommit tells all followers the commit index before we leave.
func (r *Raft) broadcastCommit() {
	for i := range r.leading.peers {
		r.beat(&r.leading.peers[i], 0)
	}
}
