//go:build unix

package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// plan is what a process is told when it starts: the next argument of childCommand.
type plan struct {
	Node      int // from 1; its place in Addresses is one less
	Writer    uint32
	Seed      uint64
	Dir       string
	Addresses []string
	Groups    int
	Clients   int
	Rate      float64 // operations a second, of all clients together
	Interval  time.Duration
}

// What a process is told to do, a line each. It stops when there are no more.
const (
	orderCut     = "cut"     // its connections break, and no new ones come about
	orderMend    = "mend"    // now they do
	orderRest    = "rest"    // its clients stop
	orderRestore = "restore" // groups that it leads get three voters again
	orderTell    = "tell"    // what its state machines hold
	ready        = "ready"   // no order: it answers so once it has started
)

// line is what a process says; one of its fields is set.
type line struct {
	Answer  string  // to this order, once that is done
	States  []state // with the answer to orderTell
	Done    *write
	Refused *write // certainly not carried out
	Figures *figures
	Broken  *breach
}

// write is a command of the process.
type write struct {
	Group  uint32
	Number uint32
}

// figures are how a process is.
type figures struct {
	Age        time.Duration
	Resident   float64 // MB
	Heap       float64 // MB that the last collection has found to be in use
	Goroutines float64
	Log        float64        // MB of files
	Counts     map[string]int // of operations and of events, since the last figures
}

// breach is a promise that was not kept.
type breach struct {
	Promise string // one of promises
	Text    string
}

// The promises, as the goals name them.
const (
	writesLost    = "writes_lost"    // acknowledged, and not there
	writesFalse   = "writes_false"   // refused and there, there twice, or answered with another's result
	readsStale    = "reads_stale"    // older than promised
	groupsStopped = "groups_stopped" // on one node, by themselves
	groupsStuck   = "groups_stuck"   // without faults and load, and not alike within minutes
	hashesDiffer  = "hashes_differ"  // after the same command
	disksBad      = "disks_bad"      // a log or a snapshot that does not pass
)

var promises = []string{writesLost, writesFalse, readsStale, groupsStopped, groupsStuck, hashesDiffer, disksBad}

// state is a group on one node.
type state struct {
	Group   quorate.GroupID
	Index   raft.Index // of the last command
	Sum     []byte     // of the whole state
	Whole   bool       // it has three voters, as far as the node knows
	Err     string     // why the node cannot be sure to know all
	Twice   int
	Writers []*writer
}

// mouth says lines.
type mouth struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newMouth(w io.Writer) *mouth { return &mouth{out: json.NewEncoder(w)} }

func (m *mouth) say(l line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.out.Encode(l) // who does not listen any more is about to end us
}

// tally counts what has happened since it was last asked.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) count(what string) { t.add(what, 1) }

func (t *tally) add(what string, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[what] += times
}

func (t *tally) take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	t.counts = nil
	return counts
}
