package kv

// Event is what one revision did to one key.
type Event struct {
	KV             // as the revision left it; of a delete only Key and Mod
	Replaced int64 // the mod revision of what was there before; zero: the key did not exist
}

// Deleted reports whether the key was deleted.
func (e Event) Deleted() bool { return e.Create == 0 }

// Advance is how far one Apply or Restore has brought the store, from one revision
// to a later one.
type Advance struct {
	From, To int64

	// Events are all that happened between the two, From not included, in order;
	// they must not be changed. If they are not Whole, there were too many of them
	// to keep, or a snapshot has taken their place: the [History] has them.
	Events []Event
	Whole  bool
}

// maxAdvanceBytes is how much an Advance may hold: one command may delete every
// key.
const maxAdvanceBytes = 1 << 20

// eventBytes is about what an event takes in memory besides its key and value.
const eventBytes = 128

// Size is about how many bytes of memory the event holds.
func (e *Event) Size() int { return eventBytes + len(e.Key) + len(e.Value) }

// Follow has every later Advance told to a function, on the goroutine that applies
// and before anyone is answered: it must be quick. Call it before the first Apply.
func (m *Machine) Follow(tell func(Advance)) { m.tell = tell }

// advanced tells of a step that was committed.
func (m *Machine) advanced(from int64, events *gathered) {
	if m.tell == nil || m.meta.revision == from {
		return
	}
	a := Advance{From: from, To: m.meta.revision}
	if events != nil && !events.tooMany {
		a.Events, a.Whole = events.all, true
	}
	m.tell(a)
}

// gathered are the events of a batch that is being applied.
type gathered struct {
	all     []Event
	bytes   int
	tooMany bool
}

func (g *gathered) add(e Event) {
	if g == nil || g.tooMany {
		return
	}
	if g.bytes += e.Size(); g.bytes > maxAdvanceBytes {
		g.all, g.tooMany = nil, true
		return
	}
	g.all = append(g.all, e)
}

// History is every change that the store remembers, as of one moment.
type History struct {
	State
	view View
}

// History opens the history. It holds files open until it is closed.
func (m *Machine) History() (*History, error) {
	view := m.store.View()
	at, err := readMeta(view)
	if err != nil {
		view.Close()
		return nil, err
	}
	return &History{State: at.state(), view: view}, nil
}

// Close gives the history up.
func (h *History) Close() error { return h.view.Close() }

// Change names an event without reading it.
type Change struct {
	Key      []byte // valid only while it is visited
	Revision int64
	Deleted  bool
	replaced int64
}

// Visit walks over the changes from a revision on, in the order in which they were
// made, until visit returns false or an error. The error is [ErrCompacted] if some
// of them may be gone, that of visit, or the store's.
func (h *History) Visit(from int64, visit func(Change) (more bool, err error)) error {
	if from < h.Compacted {
		return ErrCompacted
	}
	it := h.view.Iterate()
	err := walkChanges(it, from, visit)
	if closed := it.Close(); closed != nil {
		return closed
	}
	return err
}

func walkChanges(it Iterator, from int64, visit func(Change) (bool, error)) error {
	for ok := it.Seek(changeKey(from, 0)); ok; ok = it.Next() {
		pair, value := it.Pair()
		if pair[0] != tableChanges {
			return nil
		}
		c, err := decodeChange(pair, value)
		if err != nil {
			return err
		}
		more, err := visit(Change{Key: c.key, Revision: c.revision, Deleted: c.tombstone, replaced: c.replaced})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Event reads what a change that is being visited has left.
func (h *History) Event(c Change) (Event, error) {
	e := Event{KV: KV{Mod: c.Revision}, Replaced: c.replaced}
	if !c.Deleted {
		v, err := h.version(c.Key, c.Revision)
		e.KV = v.of(c.Key)
		return e, err
	}
	e.Key = append([]byte{}, c.Key...)
	return e, nil
}

// Before reads the key as it was just before an event: nil if it did not exist, or
// if that revision has been compacted away.
func (h *History) Before(e *Event) (*KV, error) {
	if e.Replaced == 0 || e.Mod-1 < h.Compacted {
		return nil, nil
	}
	v, err := h.version(e.Key, e.Replaced)
	if err != nil {
		return nil, err
	}
	before := v.of(e.Key)
	return &before, nil
}

// version reads the put of a key at a revision that has one.
func (h *History) version(key []byte, revision int64) (version, error) {
	prefix := versionsOf(key)
	pair := atRevision(prefix, revision)
	value, err := h.view.Get(pair)
	if err != nil {
		return version{}, err
	}
	v, err := decodeVersion(pair, pair[len(prefix):], value)
	if err == nil && !v.exists() {
		err = damaged(pair)
	}
	return v, err
}
