//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// settleTime is how long the groups may take to become alike once nothing happens to
// them any more.
const settleTime = 2 * time.Minute

// settle waits until all nodes hold the same of each group, and compares it with what
// was acknowledged.
func (s *soak) settle() error {
	for end := time.Now().Add(settleTime); ; time.Sleep(time.Second) {
		states := make([][]state, replicas)
		err := s.all(func(n *node) error {
			if _, err := n.process.tell(orderRestore); err != nil {
				return err
			}
			answer, err := n.process.tell(orderTell)
			states[n.number-1] = answer.States
			return err
		})
		if err != nil {
			return err
		}
		if late := time.Now().After(end); late || s.settled(states) {
			s.notes.mu.Lock()
			defer s.notes.mu.Unlock()
			s.compare(states)
			return nil
		}
	}
}

func (s *soak) settled(states [][]state) bool {
	for g := range s.groups {
		for _, of := range states {
			if of[g].Err != "" || !of[g].Whole || of[g].Index != states[0][g].Index {
				return false
			}
		}
	}
	return true
}

// compare looks for differences between nodes, and between what they hold and what
// they have said. The notes are held.
func (s *soak) compare(states [][]state) {
	for g := range s.groups {
		first := &states[0][g]
		for i := range states {
			of := &states[i][g]
			switch {
			case of.Err != "" || !of.Whole || of.Index != first.Index:
				s.breaks(groupsStuck, "group %d on node %d: %d commands (node 1: %d), whole: %v, %s", of.Group, i+1, of.Index, first.Index, of.Whole, of.Err)
			case !bytes.Equal(of.Sum, first.Sum):
				s.breaks(hashesDiffer, "group %d after command %d on nodes 1 and %d", of.Group, of.Index, i+1)
			}
			if of.Twice > 0 {
				s.breaks(writesFalse, "group %d on node %d: %d commands came twice", of.Group, i+1, of.Twice)
			}
		}
	}
	for i, of := range states {
		s.done.each(func(at place, number uint32) {
			if !held(of[at.group-1].Writers, at.writer, number) {
				s.breaks(writesLost, "group %d on node %d: command %d of life %d was acknowledged and is not there", at.group, i+1, number, at.writer)
			}
		})
		s.refused.each(func(at place, number uint32) {
			if held(of[at.group-1].Writers, at.writer, number) {
				s.breaks(writesFalse, "group %d on node %d: command %d of life %d was refused and is there", at.group, i+1, number, at.writer)
			}
		})
	}
}

func (w writes) each(do func(place, uint32)) {
	for at, numbers := range w {
		for _, number := range numbers {
			do(at, number)
		}
	}
}

// checkDisks reads all that the nodes have left on their disks.
func (s *soak) checkDisks() {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	for _, n := range s.nodes {
		if err := checkDisk(filepath.Join(s.dir, fmt.Sprint(n.number)), s.groups); err != nil {
			s.breaks(disksBad, "node %d: %v", n.number, err)
		}
	}
}

// checkDisk reads the log as `quorate wal verify` does, and every snapshot to its end.
func checkDisk(dir string, groups int) error {
	report, err := wal.Inspect(os.DirFS(filepath.Join(dir, "wal")))
	switch {
	case err != nil:
		return err
	case report.Torn > 0:
		return fmt.Errorf("%d bytes of a torn batch, after a stop", report.Torn)
	case len(report.Groups) != groups:
		return fmt.Errorf("the log has %d groups instead of %d", len(report.Groups), groups)
	}
	store, err := snap.Open(vfs.OS{}, filepath.Join(dir, "snap"))
	if err != nil {
		return err
	}
	for g := range groups {
		if err := checkSnapshots(store, quorate.GroupID(g+1)); err != nil {
			return err
		}
	}
	return nil
}

func checkSnapshots(store *snap.Store, group quorate.GroupID) error {
	ids, err := store.List(group)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r, err := store.Open(group, id)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}
