package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// change asks for one change in one step.
func (s *Script) change(a *args) {
	n := s.up(a)
	change, ok := s.nextChange(a)
	if !ok {
		fail("a change is add, promote, remove, update or demote")
	}
	_, err := n.Core.Change(change, raft.Index(a.number("expect", 0)))
	s.told(n.ID, err)
	s.c.Drain(n.ID)
}

// reconfigure asks for any number of changes, all or none.
func (s *Script) reconfigure(a *args) {
	n := s.up(a)
	wish := raft.Reconfiguration{Joint: a.flag("joint"), Stay: a.flag("stay"), Expect: raft.Index(a.number("expect", 0))}
	for len(a.words) > 0 {
		change, ok := s.nextChange(a)
		if !ok {
			fail("changes are add, promote, remove, update and demote")
		}
		wish.Changes = append(wish.Changes, change)
	}
	_, err := n.Core.Reconfigure(wish)
	s.told(n.ID, err)
	s.c.Drain(n.ID)
}

// nextChange takes two words, like "add 4" or, with a priority, "update 4^7".
func (s *Script) nextChange(a *args) (change membership.Change, ok bool) {
	word := a.next()
	for kind := membership.Add; kind <= membership.Demote; kind++ {
		if kind.String() == word {
			id, priority, ok := strings.Cut(a.next(), "^")
			m := membership.Member{ID: s.id(id)}
			if ok {
				m.Priority = uint8(number(priority))
			}
			return membership.Change{Kind: kind, Member: m}, true
		}
	}
	return change, false
}

func (s *Script) leave(a *args) {
	n := s.up(a)
	_, err := n.Core.Leave()
	s.told(n.ID, err)
	s.c.Drain(n.ID)
}

// voters is a configuration that is written like 1+2+3.
func (s *Script) voters(list string) membership.Config {
	var members []membership.Member
	for word := range strings.SplitSeq(list, "+") {
		members = append(members, membership.Member{ID: s.id(word), Role: membership.Voter})
	}
	return membership.New(members...)
}

func (s *Script) members(a *args) {
	s.list(a, func(n *Node) string {
		if n.Core == nil {
			return fmt.Sprintf("%d down", n.ID)
		}
		config, at := n.Core.Members()
		return fmt.Sprintf("%d %s since %d", n.ID, showConfig(config), at)
	})
}

// showConfig shows a joint configuration as what will be and what was.
func showConfig(c membership.Config) string {
	text := showSide(c, func(m membership.Member) membership.Role { return m.Role })
	if c.Joint() {
		text += " | " + showSide(c, func(m membership.Member) membership.Role { return m.Old })
	}
	return "{" + text + word(c.Stay, ", to stay", "") + "}"
}

func showSide(c membership.Config, role func(membership.Member) membership.Role) string {
	var voters, learners []string
	for _, m := range c.Members {
		name := fmt.Sprint(m.ID)
		if m.Priority > 0 {
			name += fmt.Sprintf("^%d", m.Priority)
		}
		switch role(m) {
		case membership.Voter:
			voters = append(voters, name)
		case membership.Learner:
			learners = append(learners, name)
		}
	}
	if len(learners) > 0 {
		learners = slices.Insert(learners, 0, "learning")
		return strings.TrimPrefix(strings.Join(voters, " ")+", "+strings.Join(learners, " "), ", ")
	}
	return strings.Join(voters, " ")
}
