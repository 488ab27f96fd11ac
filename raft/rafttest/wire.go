package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/raft"
)

// settle loses what crosses a cut and delivers the rest.
func (s *Script) settle(*args) {
	for range 10_000 {
		if len(s.c.Wire) == 0 {
			return
		}
		s.hand(0)
	}
	fail("%d messages still on the wire after 10,000", len(s.c.Wire))
}

// hand delivers a message, unless it is lost.
func (s *Script) hand(i int) {
	m := s.c.Wire[i]
	if s.cut[[2]raft.NodeID{m.From, m.To}] || int(m.To) > len(s.c.Nodes) || s.c.Node(m.To).Core == nil {
		s.lose(i)
		return
	}
	s.c.Wire = slices.Delete(s.c.Wire, i, i+1)
	s.give(m)
}

// give hands a message to its receiver, which may have to stop.
func (s *Script) give(m raft.Message) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case raft.Violation:
			s.say("%d stops: %v", m.To, v)
			s.c.Crash(m.To)
		default:
			panic(v)
		}
	}()
	s.told(m.To, s.c.Hand(m))
}

func (s *Script) lose(i int) {
	s.say("lost %s", Show(&s.c.Wire[i]))
	s.c.Wire = slices.Delete(s.c.Wire, i, i+1)
}

func (s *Script) deliver(a *args) { s.each(a, s.hand) }
func (s *Script) drop(a *args)    { s.each(a, s.lose) }

func (s *Script) dup(a *args) {
	nth := a.number("nth", 1)
	s.c.Wire = append(s.c.Wire, s.c.Wire[s.find(a.rest(), nth)])
}

func (s *Script) wire(*args) {
	for i := range s.c.Wire {
		s.say("%s", Show(&s.c.Wire[i]))
	}
}

// each does something that takes a message off the wire: to the selected one, or
// to all of those that lie there now.
func (s *Script) each(a *args, do func(i int)) {
	nth, all := a.number("nth", 1), a.flag("all")
	wanted, times := a.rest(), 1
	if all {
		times = 0
		for i := range s.c.Wire {
			if matches(&s.c.Wire[i], wanted) {
				times++
			}
		}
	}
	for range times {
		do(s.find(wanted, nth))
	}
}

// find returns where the nth message lies that all of the words fit.
func (s *Script) find(wanted []string, nth uint64) int {
	for i := range s.c.Wire {
		if matches(&s.c.Wire[i], wanted) {
			if nth--; nth == 0 {
				return i
			}
		}
	}
	fail("no such message on the wire")
	return 0
}

func matches(m *raft.Message, wanted []string) bool {
	link := fmt.Sprintf("%d->%d", m.From, m.To)
	for _, w := range wanted {
		if w != link && w != m.Kind.String() {
			return false
		}
	}
	return true
}

func (s *Script) cutOff(a *args) {
	from, to, link := strings.Cut(a.next(), "->")
	if link {
		s.cut[[2]raft.NodeID{s.id(from), s.id(to)}] = true
		return
	}
	for _, n := range s.c.Nodes {
		s.cut[[2]raft.NodeID{s.id(from), n.ID}] = true
		s.cut[[2]raft.NodeID{n.ID, s.id(from)}] = true
	}
}

func (s *Script) heal(*args) { clear(s.cut) }
