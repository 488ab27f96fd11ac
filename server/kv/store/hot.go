package store

import "sync"

// hot keeps pairs in memory that were lately written or asked for, so that a key that is
// in use costs no search in Pebble. It holds nothing that Pebble does not. Those that are
// set once are kept only when they were asked for: they are the values, and most are
// never read.
//
// What it holds is so as of the last commit. A view is older: it may use a pair only if
// no commit since has changed it. Therefore commits are counted, twice each: when one
// begins, and when it has put in what it has changed. A view that is taken in between
// sees a part of what is here and a part of what is not; it uses nothing of it.
//
// There are two maps: what is new comes into the young one, and when that is full it
// takes the place of the old one. What was there and is still in use is found in Pebble
// once more, and so is young again; there is no list in order of use to be kept.
type hot struct {
	most int // bytes of both maps

	mu         sync.RWMutex
	moment     uint64 // odd while a commit is under way
	young, old map[string]hotPair
	bytes      int // of young
}

// hotPair is what a key has had since a moment. The value is never changed.
type hotPair struct {
	value []byte
	since uint64
}

// hotPairBytes is about what a pair takes besides its key and value.
const hotPairBytes = 128

func newHot(most int) *hot {
	return &hot{most: most, young: map[string]hotPair{}, old: map[string]hotPair{}}
}

// get returns the value that a key had at a moment, if that is known.
func (h *hot) get(key []byte, at uint64) ([]byte, bool) {
	if at%2 != 0 {
		return nil, false
	}
	h.mu.RLock()
	p, found := h.young[string(key)]
	if !found {
		p, found = h.old[string(key)]
	}
	h.mu.RUnlock()
	if !found || p.since > at {
		return nil, false
	}
	return p.value, true
}

// now is the moment of what a reader sees from now on.
func (h *hot) now() uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.moment
}

// learn keeps what a reader has found, unless it may have been changed since.
func (h *hot) learn(key, value []byte, at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at == h.moment && at%2 == 0 {
		h.keep(string(key), hotPair{value, at})
	}
}

// begin tells of a commit.
func (h *hot) begin() {
	h.mu.Lock()
	h.moment++
	h.mu.Unlock()
}

// end keeps what the commit has changed; nil was deleted. Pairs that are set once need
// not be among them when they are set.
func (h *hot) end(changed map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moment++
	for key, value := range changed {
		h.keep(key, hotPair{value, h.moment})
	}
}

func (h *hot) keep(key string, p hotPair) {
	if was, is := h.young[key]; is {
		h.bytes -= was.size(key)
	}
	size := p.size(key)
	if p.value == nil || size > h.most/64 {
		delete(h.young, key)
		delete(h.old, key)
		return
	}
	h.young[key] = p
	if h.bytes += size; h.bytes > h.most/2 {
		h.old, h.young, h.bytes = h.young, make(map[string]hotPair, len(h.young)), 0
	}
}

func (p hotPair) size(key string) int { return hotPairBytes + len(key) + len(p.value) }
