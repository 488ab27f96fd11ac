package explore

// set is a set of hashes that are not zero: open addressing in one array. Many may
// ask it at once while nobody adds.
type set struct {
	slots []uint64
	count int
}

func newSet() *set { return &set{slots: make([]uint64, 1<<16)} }

func (s *set) has(h uint64) bool { return s.slots[s.find(h)] == h }

// add reports whether the hash is new.
func (s *set) add(h uint64) bool {
	at := s.find(h)
	if s.slots[at] == h {
		return false
	}
	s.slots[at] = h
	if s.count++; s.count*3 > len(s.slots)*2 {
		s.grow()
	}
	return true
}

// find returns where the hash is, or where it belongs.
func (s *set) find(h uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	at := h & mask
	for s.slots[at] != 0 && s.slots[at] != h {
		at = (at + 1) & mask
	}
	return at
}

func (s *set) grow() {
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, h := range old {
		if h != 0 {
			s.slots[s.find(h)] = h
		}
	}
}
