package quorate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/transport"
)

// incoming is a snapshot that a leader streams to a group of this node.
type incoming struct {
	term raft.Term // of the leader
	body transport.Incoming
	over chan struct{} // closed when nothing is done with it any more
}

// receiveSnapshot stores a snapshot that a leader streams and, once it is whole
// and durable, tells the core.
func (h *Host) receiveSnapshot(from NodeID, header []byte, body transport.Incoming) error {
	m, err := codec.DecodeMessage(header)
	if err != nil {
		return err
	}
	if m.Message.Kind != raft.InstallSnapshot || m.Message.From != from || m.Message.To != h.id {
		return errors.New("quorate: a stream that is no snapshot for this node")
	}
	if err := m.Message.Check(); err != nil {
		return err
	}
	g := h.group(m.Group)
	if g == nil {
		return fmt.Errorf("quorate: there is no group %d on this node", m.Group)
	}
	defer g.machine.users.Begin()()
	if h.disk.room.none() {
		g.machine.dropPart(m.Message.Snapshot.ID.Index)
		return ErrDiskFull
	}
	mine := &incoming{m.Message.Term, body, make(chan struct{})}
	defer close(mine.over)
	defer g.machine.receiving.CompareAndSwap(mine, nil)
	if !g.machine.receive(mine) {
		return errors.New("quorate: a snapshot of a later leader is being received")
	}
	needed := false
	if err := g.look(func(core *raft.Raft) { needed = core.Needs(*m.Message.Snapshot) }); err != nil {
		return err
	}
	if needed {
		if err := g.store(*m.Message.Snapshot, body); err != nil {
			return err
		}
	}
	// Needed or not, the core answers its leader.
	return h.ask(func() error { return h.loop.engine.Step(&m) })
}

// receive takes the place of the snapshot that is being received, if there is one, and
// waits until that is over. A leader begins another one when the one before has come to
// nothing, and a later leader need not wait for an earlier one: either way what there
// is may come over a connection that has been dead for long, and be of use.
func (m *machine) receive(mine *incoming) bool {
	h := m.group.host
	for {
		now := m.receiving.Load()
		if now != nil && now.term > mine.term {
			return false
		}
		if !m.receiving.CompareAndSwap(now, mine) {
			continue
		}
		if now == nil {
			return true
		}
		now.body.Close()
		return h.cfg.Env.Wait(nil, now.over, h.ctx.Done(), nil) == 1
	}
}

// store puts a snapshot on the disk. What comes of one that breaks off is kept.
func (g *Group) store(s raft.Snapshot, body transport.Incoming) error {
	if sm := g.machine.staging(); sm != nil {
		return g.takeIn(sm, &s, body)
	}
	r, err := g.host.snaps.Receive(g.id, s)
	if err != nil {
		return err
	}
	from, err := agree(body, r.Held())
	if err == nil {
		err = r.Begin(from)
	}
	if err == nil {
		_, err = io.Copy(r, body)
	}
	if err != nil {
		return errors.Join(err, r.Keep())
	}
	return r.Commit()
}

// agree tells the sender what of a snapshot is held already, and returns from which byte on
// it is sent.
func agree(body transport.Incoming, held snap.Prefix) (from int64, err error) {
	if err := body.Reply(encodeHeld(held)); err != nil {
		return 0, err
	}
	var b [8]byte
	if _, err := io.ReadFull(body, b[:]); err != nil {
		return 0, fmt.Errorf("quorate: a snapshot broke off before it began: %w", err)
	}
	return int64(binary.LittleEndian.Uint64(b[:])), nil
}

// dropPart removes what was kept of a snapshot at or before an entry. A failure costs
// only space.
func (m *machine) dropPart(upTo raft.Index) {
	if in := m.intake.Load(); in != nil && in.at <= upTo {
		in.leave()
	}
	if m.receiving.Load() != nil {
		return // it is being written
	}
	if err := m.group.host.snaps.DropPart(m.group.id, upTo); err != nil {
		m.group.host.cfg.Logger.Warn("a part of a snapshot could not be removed", "group", m.group.id, "err", err)
	}
}

// letGo removes what was kept and staged of snapshots at or before an entry that was applied:
// the log may have turned out to hold it, so that it was not adopted.
func (m *machine) letGo(applied raft.Index) {
	m.dropPart(applied)
	s := m.staging()
	if s == nil {
		return
	}
	if err := s.Unstage(applied); err != nil {
		m.group.host.cfg.Logger.Warn("a staged snapshot could not be removed", "group", m.group.id, "err", err)
	}
}
