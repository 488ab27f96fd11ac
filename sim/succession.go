package sim

import (
	"slices"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// succession is the third phase (E2): of a cluster that is at rest, whose groups may
// sleep, the leader of the first group loses power and all learners stand still. The
// others must find out by themselves, since no client asks for anything, and find
// another leader; and those who come back must be told what they have missed.
func (s *run) succession() {
	if !s.cfg.Sleep {
		return
	}
	s.doze() // a change of members that somebody asked for in time comes about in it
	lost := s.losable()
	if lost == nil {
		return
	}
	for i, n := range lost {
		if i == 0 {
			n.die(keepNone)
		} else {
			n.freeze()
			s.note(n, "stands still")
		}
	}
	s.within(2*time.Second+leaderWithin*s.cfg.Election.D(), "the leader's machine lost power", s.led)
	s.doze()
	for _, n := range lost {
		n.thaw()
		n.boot()
	}
	s.within(restWithin, "", s.atRest)
}

// doze lets pass what a group takes to fall asleep, and as much again.
func (s *run) doze() { s.world.runUntil(s.world.now + 4*s.cfg.Election.D()) }

// losable returns the leader of the first group and its learners; nil if without them
// some group could not go on.
func (s *run) losable() []*node {
	leader := s.leader(0)
	if leader == nil {
		return nil
	}
	var lost []*node
	for _, n := range s.nodes {
		if n.replicas[0] == leader {
			lost = append([]*node{n}, lost...)
		} else if _, member := leader.config.Find(n.id); member && n.serving() && !leader.config.Voter(n.id) {
			lost = append(lost, n)
		}
	}
	for g := range s.judges {
		r := s.leader(g)
		if r == nil || !decides(&r.config, func(id raft.NodeID) bool {
			n := s.nodes[id-1]
			return n.serving() && !slices.Contains(lost, n)
		}) {
			return nil
		}
	}
	return lost
}
