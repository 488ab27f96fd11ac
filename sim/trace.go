package sim

import (
	"fmt"
	"runtime/debug"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

func stack() string { return string(debug.Stack()) }

// tracing reports whether anybody wants to know which rules are followed.
func (s *run) tracing() bool { return s.transcript != nil }

// note adds a line about a node, or about the world, to the transcript.
func (s *run) note(n *node, format string, args ...any) {
	if s.transcript == nil {
		return
	}
	id := raft.NodeID(0)
	if n != nil {
		id = n.id
	}
	s.transcript.Note(s.world.now, id, fmt.Sprintf(format, args...))
}

// decided takes note of what a core has decided.
func (s *run) decided(n *node, r *replica, b raft.Brief) {
	s.world.mix(uint64(s.world.now), uint64(n.id)<<16|uint64(r.gid), uint64(b.Role), uint64(b.Term), uint64(b.Vote), uint64(b.Commit), uint64(b.Last.Index), uint64(b.Last.Term))
	r.commit, r.last, r.leads = b.Commit, b.Last.Index, b.Role == raft.Leader
	if leaders := s.judgeOf(r.gid).leaders; r.leads && leaders[b.Term] == 0 {
		leaders[b.Term] = n.id
		s.counts.Elections++
	}
}

// followed takes note of the rules that a core has followed.
func (s *run) followed(r *replica, config raft.Index, rules []raft.Event) {
	if s.transcript == nil {
		return
	}
	for i := range rules {
		s.transcript.Event(s.world.now, r.gid, &rules[i], &r.config, config)
	}
}

// passed takes note of messages that leave a node or reach one.
func (s *run) passed(messages []codec.Envelope, arrived bool) {
	if s.transcript == nil {
		return
	}
	for i := range messages {
		s.transcript.Message(s.world.now, &messages[i], arrived)
	}
}
