package transport

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// recollection is a Memory that a test decides for.
type recollection struct {
	mark uint64

	mu      sync.Mutex
	verdict func(Origin) error
	met     []Origin
	learnt  uint64
	refused []string
}

func (r *recollection) Mark() uint64 { return r.mark }

func (r *recollection) Meet(_ raft.NodeID, is Origin) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.met = append(r.met, is)
	if r.verdict == nil {
		return nil
	}
	return r.verdict(is)
}

func (r *recollection) Learn(_ raft.NodeID, mark uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learnt = mark
}

func (r *recollection) Refused(by raft.NodeID, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, fmt.Sprintf("%d: %s", by, why))
}

// holds is a condition on what it was told.
func (r *recollection) holds(what func() bool) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return what()
	}
}

func remembers(r *recollection, is Origin) func(*Config) {
	return func(c *Config) { c.Memory, c.Origin = r, is }
}

var errElsewhere = fmt.Errorf("node 1 has another directory, and %w", ErrForgotten)

// Who is turned away is told why, whoever has dialled, and nothing of it is taken.
func TestM17WhoHasForgottenIsTurnedAwayAtBothEnds(t *testing.T) {
	var one, two recollection
	two.verdict = func(Origin) error { return errElsewhere }
	a, b := start(t, 1, remembers(&one, Origin{Incarnation: 7, Start: 70})), start(t, 2, remembers(&two, Origin{Incarnation: 8, Start: 80}))
	toldOff := one.holds(func() bool { return len(one.refused) > 0 && one.refused[0] == "2: "+errElsewhere.Error() })

	a.SetPeer(2, b.Addr().String())
	until(t, "who dials is told why", toldOff)
	a.Send([]codec.Envelope{beat(a, b, 1)})
	if _, err := a.Call(t.Context(), 2, []byte("hello")); !errors.Is(err, ErrNotSent) {
		t.Errorf("a call to who turns us away: %v", err)
	}
	if said := two.holds(func() bool { is := two.met[0]; return is.Incarnation == 7 && is.Start == 70 && is.Life != 0 }); !said() {
		t.Error("it does not say where it comes from")
	}
	if b.count() != 0 {
		t.Error("its messages were taken")
	}

	one.holds(func() bool { one.refused = nil; return true })()
	a.RemovePeer(2)
	b.SetPeer(1, a.Addr().String())
	until(t, "who was dialled is told, when it calls back", toldOff)
	until(t, "who dials knows", func() bool { return strings.Contains(b.peer(1).LastError, "turns the peer away") })
	if b.peer(1).State == Connected {
		t.Error("and is connected all the same")
	}
}

// A peer that cannot be noted now may be later: that ends nothing.
func TestWhoCannotBeNotedTriesAgain(t *testing.T) {
	var one, two recollection
	tries := 0
	two.verdict = func(Origin) error {
		if tries++; tries < 3 {
			return errors.New("the disk is full")
		}
		return nil
	}
	a, b := start(t, 1, remembers(&one, Origin{})), start(t, 2, remembers(&two, Origin{}))
	a.SetPeer(2, b.Addr().String())
	a.connected(t, b)
	if one.holds(func() bool { return len(one.refused) > 0 })() {
		t.Error("it was told that it is turned away for good")
	}
}

func TestD14PingsTellHowFarALogHasCome(t *testing.T) {
	one, two := recollection{mark: 1234}, recollection{}
	short := limits(Limits{Timeout: 200 * time.Millisecond})
	a, b := start(t, 1, short, remembers(&one, Origin{})), start(t, 2, short, remembers(&two, Origin{}))
	a.SetPeer(2, b.Addr().String())
	until(t, "the peer knows", two.holds(func() bool { return two.learnt == 1234 }))
}
