package quorate

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/transport"
)

// intake is a state machine that takes a snapshot in while it arrives. Where a stream breaks
// off it waits for the next one that brings the rest of the very same bytes: nothing else
// holds those that it has read.
type intake struct {
	group *Group
	at    raft.Index
	name  []byte // what the snapshot stands for, encoded

	// Only for who reads: the state machine while there is a stream, then whoever
	// receives a snapshot, of whom there is one at a time.
	held  snap.Prefix
	whole bool // that is all of it
	now   *feed
	next  *feed // the one that comes, once more says so

	more  chan struct{} // one at a time
	leave func()        // closes left: no more streams come
	left  chan struct{}

	done chan struct{} // closed when the state machine is done with it
	err  error         // nil: it is staged
}

// feed is a stream that an intake reads.
type feed struct {
	transport.Incoming
	over chan struct{} // closed when it is not read any more
	err  error         // why not
}

var (
	errNoMore   = errors.New("quorate: the rest of a snapshot did not come")
	errNotRead  = errors.New("quorate: the state machine has not read its snapshot to the end")
	errManyFrom = errors.New("quorate: a snapshot goes on elsewhere than where it broke off")
)

// takeIn has the state machine stage what comes. Who calls it is the only one who receives a
// snapshot for the group.
func (g *Group) takeIn(sm StagingStateMachine, s *raft.Snapshot, body transport.Incoming) error {
	in := g.machine.intake.Load()
	if in == nil || in.over() || !bytes.Equal(in.name, codec.AppendSnapshot(nil, s)) {
		var err error
		if in, err = g.begin(sm, s); err != nil {
			return err
		}
	}
	from, err := agree(body, in.held)
	switch {
	case err != nil:
		return err
	case from == in.held.Size:
	case from == 0: // what is sent is something else
		if in, err = g.begin(sm, s); err != nil {
			return err
		}
	default:
		// IS2 Fig 13: no checksum could find a gap in what the state machine has read.
		return errManyFrom
	}
	return in.read(body)
}

// begin begins to take a snapshot in, in place of the one before.
func (g *Group) begin(sm StagingStateMachine, s *raft.Snapshot) (*intake, error) {
	h, m := g.host, g.machine
	if before := m.intake.Load(); before != nil {
		before.leave()
		if h.cfg.Env.Wait(nil, before.done, h.ctx.Done(), nil) != 1 {
			return nil, ErrClosed
		}
	}
	in := &intake{
		group: g, at: s.ID.Index, name: codec.AppendSnapshot(nil, s),
		more: make(chan struct{}, 1), left: make(chan struct{}), done: make(chan struct{}),
	}
	in.leave = sync.OnceFunc(func() { close(in.left) })
	m.intake.Store(in)
	if g.stopped() { // who stops it may not have seen this one
		in.leave()
	}
	m.use(func() {
		defer close(in.done)
		if in.err = sm.Stage(in.at, in); in.err == nil && !in.whole {
			in.err = errNotRead
		}
	})
	return in, nil
}

// read returns nil once the snapshot is staged, with the rest of it from a stream.
func (in *intake) read(body transport.Incoming) error {
	f := &feed{Incoming: body, over: make(chan struct{})}
	in.next = f
	in.more <- struct{}{} // there is room: it has taken the one before
	if in.group.host.cfg.Env.Wait(nil, f.over, in.done, nil) == 1 {
		return f.err
	}
	in.group.machine.intake.CompareAndSwap(in, nil)
	return in.err
}

// Read is for the state machine.
func (in *intake) Read(p []byte) (int, error) {
	for !in.whole {
		if in.gone() || in.now == nil && !in.await() {
			return 0, errNoMore
		}
		n, err := in.now.Read(p)
		in.held.Size += int64(n)
		in.held.Sum = in.held.Sum.Of(p[:n])
		if in.whole = err == io.EOF; err != nil && !in.whole {
			f := in.now
			in.now, f.err = nil, err
			close(f.over)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// await waits for another stream, as long as a sender keeps its view for one.
func (in *intake) await() bool {
	h := in.group.host
	timer := h.cfg.Env.NewTimer(keptTimeouts * h.cfg.ElectionTimeout)
	defer timer.Stop()
	if h.cfg.Env.Wait(timer, in.more, in.left, h.ctx.Done()) != 1 {
		return false
	}
	in.now = in.next
	return true
}

// over reports whether the state machine is done with it.
func (in *intake) over() bool { return isClosed(in.done) }

// gone reports whether nobody wants it any more.
func (in *intake) gone() bool { return isClosed(in.left) }

// endIntake breaks off what is being received for the group, which has stopped.
func (m *machine) endIntake() {
	if in := m.intake.Load(); in != nil {
		in.leave()
	}
	if now := m.receiving.Load(); now != nil {
		now.body.Close()
	}
}
