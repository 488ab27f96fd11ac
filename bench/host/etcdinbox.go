package main

import (
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// etcdInput is what has come for a replica since it looked last.
type etcdInput struct {
	ticks     int
	orders    []func(*raft.RawNode)
	messages  []*raftpb.Message
	proposals []etcdProposal
}

// etcdProposal is a command and who waits for it.
type etcdProposal struct {
	command []byte
	done    chan error // has room for the answer
}

func (in *etcdInput) empty() bool {
	return in.ticks == 0 && len(in.orders) == 0 && len(in.messages) == 0 && len(in.proposals) == 0
}

// reset returns the memory of an input for another one.
func (in *etcdInput) reset() etcdInput {
	clear(in.messages)
	clear(in.proposals)
	return etcdInput{messages: in.messages[:0], proposals: in.proposals[:0]}
}

// etcdInbox gathers a replica's input. Nobody waits to put something in: clients
// work in closed loops and the core bounds what is in flight, so that it stays small.
type etcdInbox struct {
	mu     sync.Mutex
	next   etcdInput
	closed bool
	wake   chan struct{} // has something while there may be input; closed in the end
}

func newEtcdInbox() *etcdInbox { return &etcdInbox{wake: make(chan struct{}, 1)} }

// put adds to the input. In a closed inbox it is lost; clients have gone by then.
func (b *etcdInbox) put(in etcdInput) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.next.ticks += in.ticks
	b.next.orders = append(b.next.orders, in.orders...)
	b.next.messages = append(b.next.messages, in.messages...)
	b.next.proposals = append(b.next.proposals, in.proposals...)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// swap takes all that has come and leaves memory for what is to come.
func (b *etcdInbox) swap(spare etcdInput) etcdInput {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.next
	b.next = spare
	return all
}

func (b *etcdInbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	close(b.wake)
}
