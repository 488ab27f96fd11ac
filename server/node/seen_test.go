package node

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/lease"
)

// What is applied together is one commit of the store; what fails is counted and told.
func TestWhatANodeSees(t *testing.T) {
	var s seen
	machine, err := kv.New(seenStore{store.NewMemory(), &s})
	if err != nil {
		t.Fatal(err)
	}
	put := kv.Command{By: kv.ThisNode, Do: kv.Txn{Then: []kv.Op{kv.Put{Key: []byte("k")}}}}.Encode()
	batch := []quorate.Command{{Index: 1, Data: put}, {Index: 2, Data: put}}
	if err := (seenMachine{lease.Machine{Machine: machine}, &s}).Apply(batch); err != nil {
		t.Fatal(err)
	}
	if r, is := batch[1].Result.(*kv.Result); !is || r.Code != kv.OK || r.Revision != 3 {
		t.Errorf("the second command came to %+v", batch[1].Result)
	}
	commits := uint64(0)
	for _, n := range s.commits.Now().Counts {
		commits += n
	}
	if commits != 1 {
		t.Errorf("%d commits of one batch", commits)
	}
	broken := errors.New("broken")
	if noted(&s.reads, nil) != nil || noted(&s.reads, broken) != broken || s.reads.Load() != 1 {
		t.Errorf("%d reads failed", s.reads.Load())
	}
}
