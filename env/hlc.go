package env

import (
	"fmt"
	"sync"
	"time"
)

// Timestamp is a moment of a hybrid logical clock: milliseconds since 1970 in
// the upper 48 bits, a counter in the lower 16. Timestamps compare as integers;
// zero is before everything.
type Timestamp uint64

const counterBits = 16

// Time returns the wall-clock part, exact to a millisecond.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> counterBits)) }

func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().UTC().Format("2006-01-02T15:04:05.000Z"), t&(1<<counterBits-1))
}

// MaxAhead is how far before our own clock a remote timestamp may be and still
// be believed.
const MaxAhead = time.Minute

// HLC is a hybrid logical clock (Kulkarni et al., 2014): close to the wall clock,
// and yet what caused something is always earlier than it, across nodes, whatever
// their clocks say. Frames between nodes carry its timestamps so that the traces
// of several nodes can be merged into one order. It orders observations only; no
// decision may depend on it.
//
// It is safe for use by several goroutines.
type HLC struct {
	clock Clock

	mu   sync.Mutex
	last Timestamp
}

// NewHLC returns a hybrid logical clock on top of a wall clock.
func NewHLC(clock Clock) *HLC { return &HLC{clock: clock} }

// Now returns a timestamp later than any that Now returned or Observe was given.
func (h *HLC) Now() Timestamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	// When the counter is full, adding one carries into the milliseconds: the
	// clock runs ahead of the wall a little, which is better than standing still.
	h.last = max(h.wall(), h.last+1)
	return h.last
}

// Observe takes note of a timestamp that came with a message, so that everything
// we stamp from here on is later. It reports false, and takes no note, if the
// timestamp is more than MaxAhead in our future: one node with a broken clock
// would otherwise take the whole cluster along, for ever.
func (h *HLC) Observe(remote Timestamp) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if remote > h.wall()+Timestamp(MaxAhead.Milliseconds())<<counterBits {
		return false
	}
	h.last = max(h.last, remote)
	return true
}

func (h *HLC) wall() Timestamp {
	return Timestamp(h.clock.Now().UnixMilli()) << counterBits
}
