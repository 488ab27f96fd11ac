package raft

import "slices"

// Clone returns a core in the same state, which goes its own way from here. It
// costs little: entries are shared, because they never change.
func (r *Raft) Clone() *Raft {
	c := *r
	c.tape = nil
	c.log.entries = r.log.entries[:len(r.log.entries):len(r.log.entries)]
	c.log.configs = slices.Clone(r.log.configs)
	c.disk.pending = slices.Clone(r.disk.pending)
	c.election.ballots = slices.Clone(r.election.ballots)
	c.asked = slices.Clone(r.asked)
	c.out.send, c.out.after = slices.Clone(r.out.send), slices.Clone(r.out.after)
	c.out.reads, c.out.trace = slices.Clone(r.out.reads), slices.Clone(r.out.trace)
	if r.leading != nil {
		c.leading = r.leading.clone()
	}
	return &c
}

func (l *leadership) clone() *leadership {
	c := *l
	c.peers = slices.Clone(l.peers)
	for i := range c.peers {
		c.peers[i].Progress = l.peers[i].Clone()
	}
	c.reads.sent = slices.Clone(l.reads.sent)
	c.reads.early, c.reads.waiting = slices.Clone(l.reads.early), slices.Clone(l.reads.waiting)
	return &c
}

// Hash returns a number that is the same for cores whose further behaviour is the
// same, on every platform. What only counts up, such as the number of ticks since
// a leader was elected, enters as a difference.
func (r *Raft) Hash() uint64 { return r.HashAs(func(id NodeID) NodeID { return id }) }

// HashAs is Hash of the core in a world where nodes have other names: the names
// of nodes mean nothing to the algorithm but that they differ. (That members are
// asked in the order of their IDs is the one exception.)
func (r *Raft) HashAs(name func(NodeID) NodeID) uint64 {
	d := digest{name: name, patience: uint64(r.cfg.ElectionTicks) + 1}
	d.node(r.cfg.ID)
	d.words(uint64(r.term), uint64(r.role), uint64(r.commit), uint64(r.applied), bit(r.asleep), r.injured)
	d.node(r.vote)
	d.node(r.lead)
	d.log(&r.log)
	d.disk(&r.disk)
	d.election(&r.election)
	for _, token := range r.asked {
		d.words(r.tokens - token)
	}
	if r.leading != nil {
		d.leadership(r.leading)
	}
	d.words(uint64(len(r.out.send)), uint64(len(r.out.after)), uint64(len(r.out.reads)))
	return d.sum
}

// digest mixes words into a number.
type digest struct {
	sum      uint64
	name     func(NodeID) NodeID
	patience uint64 // ticks
}

func (d *digest) words(words ...uint64) {
	for _, w := range words {
		d.sum = mix(d.sum ^ w)
	}
}

// mix is the finisher of splitmix64: every bit of the input reaches every bit of
// the output.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *digest) node(id NodeID) {
	if id != 0 {
		id = d.name(id)
	}
	d.words(uint64(id))
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// set mixes things in whose order means nothing.
func (d *digest) set(n int, each func(i int, of *digest)) {
	var sum uint64
	for i := range n {
		of := digest{name: d.name}
		each(i, &of)
		sum += of.sum
	}
	d.words(uint64(n), sum)
}

func (d *digest) bytes(b []byte) {
	d.words(uint64(len(b)))
	for len(b) > 0 {
		var w uint64
		for i := 0; i < 8 && i < len(b); i++ {
			w |= uint64(b[i]) << (8 * i)
		}
		d.words(w)
		b = b[min(8, len(b)):]
	}
}

func (d *digest) entry(e *Entry) {
	d.words(uint64(e.Term), uint64(e.Index), uint64(e.Kind))
	d.bytes(e.Data)
}

func (d *digest) log(l *log) {
	d.words(uint64(l.base.Term), uint64(l.base.Index))
	for i := range l.entries {
		d.entry(&l.entries[i])
	}
	for _, at := range l.configs {
		d.words(uint64(at.index))
		d.set(len(at.config.Members), func(i int, of *digest) {
			m := &at.config.Members[i]
			of.node(m.ID)
			of.words(uint64(m.Role), uint64(m.Old), uint64(m.Priority))
		})
	}
}

func (d *digest) disk(k *disk) {
	d.words(uint64(k.durable), uint64(k.term), uint64(k.handed), uint64(k.state.Term), bit(k.state.Injured))
	d.node(k.state.Vote)
	for _, p := range k.pending {
		d.words(k.writes-p.write, uint64(p.last), uint64(p.term))
	}
}

func (d *digest) election(e *election) {
	d.words(uint64(e.random), uint64(e.elapsed), uint64(e.timeout), uint64(e.quiet))
	d.set(len(e.ballots), func(i int, of *digest) {
		of.node(e.ballots[i].from)
		of.words(uint64(e.ballots[i].says))
	})
}

func (d *digest) leadership(l *leadership) {
	d.words(uint64(l.beat), l.uncommitted, uint64(l.transfer.ticks))
	d.node(l.transfer.to)
	if l.transfer.told {
		d.words(1)
	}
	d.words(uint64(l.rest.ticks), uint64(l.rest.last.Index), bit(l.rest.offer > 0))
	d.set(len(l.peers), func(i int, of *digest) {
		of.node(l.peers[i].id)
		var words [24]uint64
		of.words(l.peers[i].AppendWords(words[:0])...)
		// Beyond a timeout, silence is silence; a round that nobody waits for is over.
		of.words(min(l.ticks-l.peers[i].Heard, d.patience), max(l.peers[i].Round, l.oldestRound())-l.oldestRound(),
			max(l.peers[i].NotBefore, l.ticks)-l.ticks,
			l.peers[i].injured, uint64(l.peers[i].mend.Index),
			bit(l.peers[i].silent), bit(l.rest.offer > 0 && l.peers[i].slept >= l.rest.offer))
	})
	for _, list := range [][]readFrom{l.reads.early, l.reads.waiting} {
		for _, read := range list {
			d.node(read.node)
			d.words(uint64(read.index), l.reads.round-read.round)
		}
	}
	for _, s := range l.reads.sent {
		d.words(l.reads.round-s.round, l.ticks-s.tick)
	}
}

// oldestRound is the first round whose answers still matter.
func (l *leadership) oldestRound() uint64 {
	oldest := l.reads.round + 1
	if len(l.reads.waiting) > 0 {
		oldest = min(oldest, l.reads.waiting[0].round)
	}
	if len(l.reads.sent) > 0 {
		oldest = min(oldest, l.reads.sent[0].round)
	}
	return oldest
}
