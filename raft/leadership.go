package raft

import "github.com/quorate-db/quorate/raft/progress"

// leadership is the state that only a leader has.
type leadership struct {
	ticks       uint64 // since it leads
	beat        int    // ticks since the last heartbeat
	peers       []peer // every other member, sorted by ID
	uncommitted uint64 // bytes of entries that wait for a majority
	reads       reads
	transfer    transfer
	rest        rest
}

// peer is another member and how far it has come. One that a pending change
// removes stays until the change is committed, so that it learns of it.
type peer struct {
	id NodeID
	progress.Progress
	slept  uint64 // the last round at which it said that it sleeps (SL2)
	silent bool   // its node has not been heard for an election timeout

	injured uint64  // as it calls itself while it may have forgotten promises; zero: it is well
	mend    EntryID // what heals it, once committed (IN4)
}

func newLeadership(r *Raft) *leadership {
	l := &leadership{}
	for i := r.commit + 1; i <= r.log.last().Index; i++ {
		l.uncommitted += r.log.entries[i-r.log.base.Index-1].Size()
	}
	for _, m := range r.members().Members {
		if m.ID != r.cfg.ID {
			l.peers = append(l.peers, r.newPeer(m.ID, 0))
		}
	}
	return l
}

func (r *Raft) newPeer(id NodeID, now uint64) peer {
	limits := progress.Limits{Messages: r.cfg.MaxInFlight, Bytes: r.cfg.MaxInFlightBytes}
	return peer{id: id, Progress: progress.New(r.log.last().Index+1, now, limits)}
}

// peer returns the peer with this ID, nil if there is none.
func (l *leadership) peer(id NodeID) *peer {
	i, found := l.search(id)
	if !found {
		return nil
	}
	return &l.peers[i]
}

// search returns where the peer with this ID is, or would be. It looks at one after
// the other: they are few, and asked for with every message.
func (l *leadership) search(id NodeID) (int, bool) {
	for i := range l.peers {
		if l.peers[i].id >= id {
			return i, l.peers[i].id == id
		}
	}
	return len(l.peers), false
}

// answering returns the peer that has just answered, nil if it is none of ours
// or we do not lead.
func (r *Raft) answering(m *Message) *peer {
	if r.leading == nil {
		return nil
	}
	p := r.leading.peer(m.From)
	if p != nil {
		p.Heard = r.leading.ticks
		r.mindInjury(p, m)
	}
	return p
}

func (r *Raft) tickLeader() {
	l := r.leading
	l.ticks++
	l.beat++
	// L9 §6.2 d: a leader that no majority answers must not be mistaken for one
	// by its clients; and a new one may have been elected long ago.
	if heard := Index(l.ticks) - min(r.lastHeard(), Index(l.ticks)); heard > Index(r.cfg.ElectionTicks) {
		r.trace(L9, 0, EntryID{})
		r.becomeFollower(r.term, 0)
		return
	}
	if r.tickRest(); r.asleep {
		return
	}
	if l.beat >= r.cfg.HeartbeatTicks {
		r.heartbeat() // L7 §5.2: followers must not take silence for death
	}
	r.tickTransfer()
	r.preferOther()
}

// lastHeard is the latest tick by which a majority has been heard, ourselves
// included: the same question as for the commit index, asked of clocks.
func (r *Raft) lastHeard() Index {
	return r.quorum().Committed(func(id NodeID) Index {
		if p := r.leading.peer(id); p != nil {
			return Index(p.Heard)
		}
		return Index(r.leading.ticks)
	})
}
