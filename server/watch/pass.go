package watch

import (
	"slices"

	"github.com/quorate-db/quorate/server/kv"
)

// pass reads a part of the history for watchers that are behind: the one that has
// waited longest, and all others that are not far behind it.
type pass struct {
	stream *Stream
	of     []*watcher
	index  index
	from   int64

	got     map[*watcher][]*Event
	bytes   int
	changes int
	reached int64 // the last revision that was read
}

func (s *Stream) pass() error {
	p := s.choose()
	h, err := s.hub.machine.History()
	if err != nil {
		return err
	}
	defer h.Close()
	p.dropLost(h.Compacted)
	if err := p.readFrom(h); err != nil {
		return err
	}
	p.finish()
	return nil
}

// choose takes the watchers from the late ones.
func (s *Stream) choose() *pass {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	p := &pass{stream: s, index: newIndex(), got: make(map[*watcher][]*Event)}
	least := s.late[0].next - s.hub.Near
	s.late = slices.DeleteFunc(s.late, func(w *watcher) bool {
		if w.next >= least {
			p.of = append(p.of, w)
		}
		return w.next >= least
	})
	return p
}

// dropLost ends the watchers that need what is gone.
func (p *pass) dropLost(compacted int64) {
	s := p.stream
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	p.of = slices.DeleteFunc(p.of, func(w *watcher) bool {
		if w.next >= compacted {
			return false
		}
		w.next, w.behind, w.ended = compacted, false, true
		s.hub.index.remove(w)
		s.lost = append(s.lost, w)
		return true
	})
}

// readFrom reads up to the end of the history, or until it is enough. Only this
// goroutine changes a watcher that is behind, so no lock is needed to look at it.
func (p *pass) readFrom(h *kv.History) error {
	if len(p.of) == 0 {
		return nil
	}
	p.from = p.of[0].next
	for _, w := range p.of {
		p.from = min(p.from, w.next)
		p.index.add(w)
	}
	p.reached = h.Revision
	var last int64
	return h.Visit(p.from, func(c kv.Change) (bool, error) {
		if c.Revision != last && (p.bytes >= p.stream.hub.PassBytes || p.changes >= p.stream.hub.PassChanges) {
			p.reached = last
			return false, nil
		}
		last = c.Revision
		p.changes++
		return true, p.visit(h, c)
	})
}

func (p *pass) visit(h *kv.History, c kv.Change) (err error) {
	var shared *Event
	p.index.match(c.Key, func(w *watcher) {
		if err != nil || !w.wants(c.Revision, c.Deleted) {
			return
		}
		if shared == nil {
			shared = &Event{}
			if shared.Event, err = h.Event(c); err != nil {
				return
			}
			p.bytes += shared.Size()
		}
		p.got[w] = append(p.got[w], shared)
		p.bytes += pointerBytes
	})
	return err
}

// finish makes what was read pending. Who has come as far as the hub is not behind
// any more: the hub hands on from there, and passes over what was read beyond it.
func (p *pass) finish() {
	s := p.stream
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, w := range p.of {
		w.next = max(w.next, p.reached+1)
		w.behind = p.reached < s.hub.revision
		if got := p.got[w]; len(got) > 0 {
			w.hold(got, p.bytes/len(p.got))
		} else if w.behind {
			s.late = append(s.late, w)
		}
	}
}
