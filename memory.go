package quorate

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/quorate-db/quorate/transport"
)

// A node that lost its disk has forgotten for whom it voted and what it acknowledged.
// Its peers have not: each remembers the data directory with which it first met a
// node, and takes nothing from another one under the same ID (M17). An old copy of the
// right directory is known by the end of its log: that was told to lie further on (D14).
//
// What is remembered is in the file "peers" of the data directory, one line for each node:
//
//	quorate peers 1
//	node 0123456789abcdef incarnation 0123456789abcdef life 0123456789abcdef mark 0000000100000a2c
//	crc32c 8e05f4b1
const (
	peersFile   = "peers"
	peersFormat = "quorate peers 1\n"
	peerFormat  = "node %016x incarnation %016x life %016x mark %016x\n"

	// maxPeers bounds what strangers can make a node remember. IDs are never used
	// again, so that it bounds the members that a cluster can ever have had, too.
	maxPeers = 1 << 14
)

// memory is whom a node has met.
type memory struct {
	path string
	turn chan struct{} // holds a token: who has it may write the file

	mu    sync.Mutex
	peers map[NodeID]acquaintance
}

// acquaintance is a node that was met.
type acquaintance struct {
	incarnation uint64
	life        uint64 // of its process, when it was last met
	mark        uint64 // the highest that its log is known to have reached, also in that life
	refused     uint64 // the life that was last turned away, and told of
}

// recall reads what an earlier life of this node remembers.
func (m *memory) recall(cfg *Config) error {
	m.path, m.turn, m.peers = filepath.Join(cfg.Dir, peersFile), make(chan struct{}, 1), map[NodeID]acquaintance{}
	m.turn <- struct{}{}
	text, err := readFile(cfg.FS, m.path, maxPeers*128)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("quorate: the data directory cannot be read: %w", err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for _, line := range lines[min(1, len(lines)):max(1, len(lines)-2)] {
		var id NodeID
		var p acquaintance
		if _, err := fmt.Sscanf(string(line), peerFormat, (*uint64)(&id), &p.incarnation, &p.life, &p.mark); err == nil {
			m.peers[id] = p
		}
	}
	if !bytes.Equal(text, m.text()) {
		return fmt.Errorf("quorate: %s is not a list of peers of format 1, or it is damaged: put it back from a copy; or, if no other member has lost its data, "+
			"remove it, and whoever calls first is believed again", m.path)
	}
	return nil
}

// text is the file's content.
func (m *memory) text() []byte {
	text := []byte(peersFormat)
	for _, id := range slices.Sorted(maps.Keys(m.peers)) {
		p := m.peers[id]
		text = fmt.Appendf(text, peerFormat, uint64(id), p.incarnation, p.life, p.mark)
	}
	return fmt.Appendf(text, "crc32c %08x\n", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
}

// meet judges a peer by what it says of itself. If it is to be believed it is
// remembered, and fresh says so: then that must become durable first.
func (m *memory) meet(id NodeID, is transport.Origin) (text []byte, fresh bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, known := m.peers[id]
	switch {
	case !known && len(m.peers) >= maxPeers:
		return nil, false, fmt.Errorf("quorate: this node remembers %d others, which is as many as it can", maxPeers)
	case known && p.incarnation != is.Incarnation:
		return nil, false, fmt.Errorf("the data directory of node %016x is not the one with which it was first met: %w; "+
			"remove this member and add it again, under a new ID and with an empty data directory", uint64(id), transport.ErrForgotten)
	case known && p.life != is.Life && is.Start < p.mark:
		return nil, false, fmt.Errorf("the log of node %016x ends at %x and was at %x: its data directory is an old copy, and %w; "+
			"remove this member and add it again, under a new ID and with an empty data directory", uint64(id), is.Start, p.mark, transport.ErrForgotten)
	case p.life == is.Life && known:
		return nil, false, nil
	}
	risen := is.Start > p.mark
	m.peers[id] = acquaintance{incarnation: is.Incarnation, mark: max(p.mark, is.Start), life: is.Life}
	if known && !risen {
		return nil, false, nil
	}
	return m.text(), !known, nil
}

// refuse takes note that a peer is turned away, and reports whether that is news.
func (m *memory) refuse(id NodeID, is transport.Origin) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	news := p.refused != is.Life
	p.refused = is.Life
	m.peers[id] = p
	return news
}

// forget takes back that a peer was met.
func (m *memory) forget(id NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.peers, id)
}

// peerMemory is a host as its transport asks it about peers.
type peerMemory Host

// Mark implements [transport.Memory].
func (p *peerMemory) Mark() uint64 { return p.disk.log.Status().Mark }

// Meet implements transport.Memory. A peer that was not met before is believed, and
// what it says next waits until the disk knows of it.
func (p *peerMemory) Meet(peer NodeID, is transport.Origin) error {
	h, m := (*Host)(p), &p.met
	if h.cfg.Env.Wait(nil, m.turn, h.ctx.Done(), nil) == 2 {
		return ErrClosed
	}
	defer func() { m.turn <- struct{}{} }()
	text, fresh, err := m.meet(peer, is)
	switch {
	case errors.Is(err, transport.ErrForgotten) && m.refuse(peer, is):
		h.vitals.forgetful.Add(1)
		h.tell(Event{Kind: PeerRefused, Node: peer, Err: err})
		h.cfg.Logger.Error("a peer has forgotten what it promised, and is turned away", "peer", fmt.Sprintf("%016x", uint64(peer)), "err", err)
	case len(text) > 0:
		err = writeFile(h.cfg.FS, h.cfg.Dir, m.path, text)
	}
	switch {
	case err != nil && fresh:
		m.forget(peer)
	case err != nil && len(text) > 0:
		// An old copy of it may be believed after another start of ours: no reason to
		// do without the peer, now that our disk is full, say.
		h.cfg.Logger.Warn("how far a peer's log had come cannot be noted", "file", m.path, "err", err)
		err = nil
	}
	return err
}

// Learn implements transport.Memory. It is written down when the peer is next met.
func (p *peerMemory) Learn(peer NodeID, mark uint64) {
	m := &p.met
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, known := m.peers[peer]; known {
		a.mark = max(a.mark, mark)
		m.peers[peer] = a
	}
}

// Refused implements transport.Memory. One peer is enough: where others do not
// remember, this node could break with them what it has promised to that one.
func (p *peerMemory) Refused(by NodeID, why string) {
	h := (*Host)(p)
	h.inbox.do(func() { h.fail(fmt.Errorf("quorate: node %016x turns this node away: %s", uint64(by), why)) })
}
