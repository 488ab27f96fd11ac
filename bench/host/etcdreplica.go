package main

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// etcdReplica drives one core, in one goroutine.
type etcdReplica struct {
	id      uint64
	group   uint32
	links   *[replicas]*etcdLink
	inbox   *etcdInbox
	core    *raft.RawNode
	storage *raft.MemoryStorage
	log     *etcdLog
	leads   atomic.Bool

	proposed uint64                // the number of the next command, no other replica's
	waiting  map[uint64]chan error // who proposed a command, by its number
	term     uint64
	applied  uint64
	kept     uint64 // what is before this entry is compacted
	frame    []byte // reused
}

var etcdMembers = &raftpb.ConfState{Voters: []uint64{1, 2, 3}}

// etcdKept is how many entries a compaction leaves, and how many make one due.
const etcdKept = 5_000

func newEtcdReplica(dir string, id uint64, group uint32, links *[replicas]*etcdLink) (r *etcdReplica, err error) {
	r = &etcdReplica{
		id: id, group: group, links: links, inbox: newEtcdInbox(), storage: raft.NewMemoryStorage(),
		proposed: id << 56, waiting: map[uint64]chan error{}, applied: 1, kept: 1,
	}
	// A group begins with a snapshot that says who its members are.
	err = r.storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: new(uint64(1)), Term: new(uint64(1)), ConfState: etcdMembers,
	}})
	if err != nil {
		return nil, err
	}
	r.core, err = raft.NewRawNode(&raft.Config{
		ID: id, Storage: r.storage, Applied: 1, Logger: speechless{&raft.DefaultLogger{}},
		ElectionTick: 10, HeartbeatTick: 1, PreVote: true, CheckQuorum: true, DisableProposalForwarding: true,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 512, // of etcd's own server
	})
	if err != nil {
		return nil, err
	}
	r.log, err = createEtcdLog(dir)
	return r, err
}

// run feeds the core with all that has come and does what is to be done, until the
// inbox is closed. What comes during a write is the next one's.
func (r *etcdReplica) run() {
	var in etcdInput
	for range r.inbox.wake {
		for {
			in = r.inbox.swap(in.reset())
			if in.empty() && !r.core.HasReady() {
				break
			}
			r.feed(&in)
			if err := r.ready(); err != nil {
				panic(err) // the disk has failed
			}
		}
	}
}

// feed gives the core all that has come. Errors are those of messages that came too
// late, and of proposals that the core does not want.
func (r *etcdReplica) feed(in *etcdInput) {
	for range in.ticks {
		r.core.Tick()
	}
	for _, order := range in.orders {
		order(r.core)
	}
	for _, m := range in.messages {
		_ = r.core.Step(m)
	}
	if len(in.proposals) > 0 {
		r.propose(in.proposals)
	}
}

// propose offers all commands in one message, so that the core makes one message to
// each follower of them. Each has its number before it.
func (r *etcdReplica) propose(all []etcdProposal) {
	m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: &r.id, Entries: make([]*raftpb.Entry, len(all))}
	data := make([]byte, 0, len(all)*(8+commandBytes))
	for i, p := range all {
		start := len(data)
		data = append(binary.LittleEndian.AppendUint64(data, r.proposed+uint64(i)), p.command...)
		m.Entries[i] = &raftpb.Entry{Data: data[start:len(data):len(data)]}
	}
	if err := r.core.Step(m); err != nil {
		for _, p := range all {
			p.done <- err
		}
		return
	}
	for _, p := range all {
		r.waiting[r.proposed] = p.done
		r.proposed++
	}
}

// ready does once what the core wants. The leader's messages leave before its write
// and so save a sync's time; the others' wait for it.
func (r *etcdReplica) ready() error {
	if !r.core.HasReady() {
		return nil
	}
	rd := r.core.Ready()
	if rd.SoftState != nil {
		r.leads.Store(rd.RaftState == raft.StateLeader)
	}
	leads := r.leads.Load()
	if leads {
		r.send(rd.Messages)
	}
	if err := r.save(&rd); err != nil {
		return err
	}
	if !leads {
		r.send(rd.Messages)
	}
	r.apply(rd.CommittedEntries)
	r.core.Advance(rd)
	return r.compact()
}

func (r *etcdReplica) save(rd *raft.Ready) error {
	if err := r.log.save(rd); err != nil {
		return err
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := r.storage.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		r.applied = rd.Snapshot.GetMetadata().GetIndex()
		r.kept = r.applied
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		r.enter(rd.HardState.GetTerm())
		if err := r.storage.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	return r.storage.Append(rd.Entries)
}

// send makes one frame for each node of what goes there.
func (r *etcdReplica) send(messages []*raftpb.Message) {
	for i, link := range r.links {
		if link == nil {
			continue
		}
		r.frame = etcdFrame(r.frame, r.group)
		empty := len(r.frame)
		for _, m := range messages {
			if m.GetTo() != uint64(i+1) {
				continue
			}
			var err error
			if r.frame, err = appendSized(r.frame, m); err != nil {
				panic(err) // the core made it
			}
			if m.GetType() == raftpb.MsgSnap {
				r.core.ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
			}
		}
		if len(r.frame) > empty {
			link.write(etcdClose(r.frame))
		}
	}
}

// apply is a state machine without a state.
func (r *etcdReplica) apply(entries []*raftpb.Entry) {
	for _, e := range entries {
		r.applied = e.GetIndex()
		if len(e.Data) < 8 {
			continue // a leader's first one
		}
		number := binary.LittleEndian.Uint64(e.Data)
		if done, ok := r.waiting[number]; ok {
			delete(r.waiting, number)
			done <- nil
		}
	}
}

// compact keeps memory bounded. A follower that lies further back than what is kept
// is sent the snapshot, which is as empty as the state machine.
func (r *etcdReplica) compact() error {
	if r.applied < r.kept+2*etcdKept {
		return nil
	}
	if _, err := r.storage.CreateSnapshot(r.applied, etcdMembers, nil); err != nil {
		return err
	}
	r.kept = r.applied - etcdKept
	return r.storage.Compact(r.kept)
}

// enter answers all who wait, if the term is a new one: another leader may have
// replaced what they proposed.
func (r *etcdReplica) enter(term uint64) {
	if term == r.term {
		return
	}
	r.term = term
	for _, done := range r.waiting {
		done <- errEtcdTerm
	}
	clear(r.waiting)
}

var errEtcdTerm = errors.New("etcd: the term has ended before the command was committed")

// speechless keeps what a core tells about elections from being written.
type speechless struct{ raft.Logger }

func (speechless) Debug(...any)            {}
func (speechless) Debugf(string, ...any)   {}
func (speechless) Info(...any)             {}
func (speechless) Infof(string, ...any)    {}
func (speechless) Warning(...any)          {}
func (speechless) Warningf(string, ...any) {}
