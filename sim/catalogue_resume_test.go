package sim

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// Transfers of snapshots that break off, and go on. A snapshot here is of about 300 KiB,
// which is 26 pieces on its way, of which 4 may be under way at once.

// under waits for a stream that is under way, other than one before.
func (s *story) under(before *stream) *stream {
	s.t.Helper()
	var now *stream
	s.until("a snapshot is under way", 200*election, func() bool {
		if n := len(s.net.streams); n > 0 {
			now = s.net.streams[n-1]
		}
		return now != nil && now != before && !now.ended()
	})
	return now
}

// sends waits until so many bytes have been sent.
func (s *story) sends(st *stream, least int) {
	s.t.Helper()
	for st.sent < least {
		if st.ended() {
			s.t.Fatalf("seed %d: %d bytes were sent, and not %d", s.cfg.Seed, st.sent, least)
		}
		s.pass(20 * time.Microsecond)
	}
}

// over waits until a stream has ended well, and returns how many bytes the receiver held
// when it began.
func (s *story) over(st *stream) (held int) {
	s.t.Helper()
	s.until("it has arrived", 10*time.Second, st.ended)
	if st.verdict != nil || len(st.reply) < 8 {
		s.t.Fatalf("seed %d, after %v: %v, after a reply of %d bytes", s.cfg.Seed, s.world.now, st.verdict, len(st.reply))
	}
	return int(binary.LittleEndian.Uint64(st.reply))
}

// view is what a node's state machine would send now, in bytes.
func (s *story) view(n *node) int {
	s.t.Helper()
	v, err := n.store.Snapshot()
	if err != nil {
		s.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := v.WriteTo(&b); err != nil {
		s.t.Fatal(err)
	}
	return b.Len()
}

// wentOn judges a transfer in two attempts: what was there was not sent again, and what
// may have been under way is all that was.
func (s *story) wentOn(first, second *stream, size int) {
	s.t.Helper()
	const from = 8 // bytes that say where it goes on
	held := s.over(second)
	if lost := first.sent - from - held; held <= 0 || lost < 0 || lost > (window+1)*maxChunk {
		s.t.Errorf("seed %d: of %d bytes that were sent %d are held", s.cfg.Seed, first.sent, held)
	}
	if second.sent != from+size-held {
		s.t.Errorf("seed %d: of %d bytes %d are held, and %d were sent", s.cfg.Seed, size, held, second.sent)
	}
}

// Wherever the connection breaks, the second attempt sends what is missing. The leader
// has gone on meanwhile, and would by now send something else.
func TestS08ASnapshotThatBreaksOffGoesOn(t *testing.T) {
	for cut := range seeds(20) {
		s, leader, lags := lagging(t, cut, 300)
		size := s.view(leader)
		s.heal()
		first := s.under(nil)
		s.sends(first, int(cut)*size/28)
		s.pass(time.Millisecond / 2 * time.Duration(cut%2)) // what is under way may arrive, or not
		if cut%4 < 2 {
			first.breakOff(0)
		} else { // the receiver is not told
			first.broken = true
			first.judge(errBroken, false)
		}
		s.put(leader, "k0", "meanwhile")
		second := s.under(first)
		s.wentOn(first, second, size)
		s.caughtUp(lags, 5*time.Second)
		s.ends()
	}
}

// The receiver dies. What its disk still has need not be sent again; without any of it
// the transfer begins anew.
func TestS08ASnapshotGoesOnAfterACrashOfItsReceiver(t *testing.T) {
	for _, keep := range survivals {
		for cut := range seeds(10) {
			s, leader, lags := lagging(t, cut, 300)
			size := s.view(leader)
			s.heal()
			first := s.under(nil)
			s.sends(first, int(cut)*size/14)
			lags.die(keep)
			s.pass(5 * time.Millisecond)
			lags.boot()
			second := s.under(first)
			if s.until("it has ended", 10*time.Second, second.ended); second.verdict != nil { // nothing is held
				second = s.under(second)
			}
			held := s.over(second)
			if keep == keepAll && first.sent > 70000+(window+1)*maxChunk && held == 0 {
				t.Errorf("seed %d: %d bytes were sent, and none are held", cut, first.sent)
			}
			if second.sent != 8+size-held {
				t.Errorf("%s, seed %d: of %d bytes %d are held, and %d were sent", keep, cut, size, held, second.sent)
			}
			s.caughtUp(lags, 5*time.Second)
			s.ends()
		}
	}
}

// The sender dies, and another node leads. It goes on if the bytes that it would send
// begin with those that are there, and begins anew if they do not, although they stand
// for the very same state.
func TestS08ASnapshotGoesOnWithAnotherLeader(t *testing.T) {
	for _, same := range []bool{true, false} {
		for cut := range seeds(10) {
			s := idle(t, cut, 3, quickCompaction, func(o *Options) { o.Durable = true })
			views := 0
			s.newStore = func() Store { return &moody{NewDurableRegisters(), same, &views} }
			for _, n := range s.nodes {
				n.boot()
			}
			leader := s.leader()
			lags := s.besides(leader)[0]
			s.isolate(lags)
			s.fill(leader, 30, 300<<10/30)
			s.pass(2 * election) // the third has applied everything
			size := s.view(leader)
			views = 0
			s.heal()
			first := s.under(nil)
			s.sends(first, int(cut)*size/14)
			leader.die(keepAll)
			second := s.under(first)
			if second.from.node == leader {
				t.Fatalf("seed %d: it is the same leader", cut)
			}
			if same {
				s.wentOn(first, second, size)
			} else {
				s.until("it is given up", 10*time.Second, second.ended)
				third := s.under(second)
				if held := int(binary.LittleEndian.Uint64(second.reply)); held == 0 || second.sent != 8 {
					t.Errorf("seed %d: %d bytes were held, and %d sent", cut, held, second.sent)
				}
				if held := s.over(third); held != 0 || third.sent != 8+size {
					t.Errorf("seed %d: %d bytes are held, and %d were sent", cut, held, third.sent)
				}
			}
			s.caughtUp(lags, 10*time.Second)
			s.ends()
		}
	}
}

// moody is a store whose views need not write the same bytes for the same state: every
// second one has the keys in their order, and every other in the reverse.
type moody struct {
	*DurableRegisters
	same  bool // all views are alike
	views *int
}

func (m *moody) Snapshot() (quorate.View, error) {
	*m.views++
	b := binary.LittleEndian.AppendUint64(nil, uint64(m.applied))
	b = binary.LittleEndian.AppendUint64(b, m.revision)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(m.keys)))
	keys := slices.Sorted(maps.Keys(m.keys))
	if !m.same && *m.views%2 == 0 {
		slices.Reverse(keys)
	}
	for _, key := range keys {
		b = appendText(appendText(b, key), m.keys[key].value)
		b = binary.LittleEndian.AppendUint64(b, m.keys[key].revision)
	}
	return view(b), nil // nobody has a session
}

func (m *moody) Crash(keep func(int) int) Durable {
	return &moody{m.DurableRegisters.Crash(keep).(*DurableRegisters), m.same, m.views}
}

// Log entries can make what was received useless. It does not stay.
func TestAPartThatIsOfNoUseGoes(t *testing.T) {
	for seed := range seeds(5) {
		s, leader, lags := lagging(t, seed, 100)
		s.heal()
		first := s.under(nil)
		s.sends(first, 60000)
		first.breakOff(0)
		s.isolate(lags)
		s.pass(time.Second)
		if got := s.parts(lags); got != 1 {
			t.Fatalf("seed %d: there are %d parts", seed, got)
		}
		s.fill(leader, 100, 100) // the log has gone far past it
		s.heal()
		second := s.under(first)
		if held := s.over(second); held != 0 {
			t.Errorf("seed %d: of a later snapshot %d bytes are held", seed, held)
		}
		s.caughtUp(lags, 5*time.Second)
		if got := s.parts(lags); got != 0 {
			t.Errorf("seed %d: there are %d parts", seed, got)
		}
		s.ends()
	}
}

// parts counts the parts of snapshots on a node's disk.
func (s *story) parts(n *node) (count int) {
	names, err := n.disk.mem.List("data/snap/1")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range names {
		if bytes.HasSuffix([]byte(name), []byte(".part")) {
			count++
		}
	}
	return count
}
