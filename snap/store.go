package snap

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

const (
	suffix          = ".snap"
	temporarySuffix = ".tmp"
	partSuffix      = ".part"
	nameDigits      = 20
)

// Store is the snapshots of a node. It may be used by several goroutines; each
// Writer and Reader by one at a time.
type Store struct {
	fs      vfs.FS
	dir     string
	writers atomic.Uint64 // counts them, so that no two write the same file
}

// Open opens the store in dir, which is made if it does not exist, and removes
// what a crash has left of unfinished snapshots, but for the newest part that was
// received of one. It refuses a directory with files that are not its own.
func Open(fs vfs.FS, dir string) (*Store, error) {
	s := &Store{fs: fs, dir: dir}
	if err := fs.MakeDir(dir); err != nil {
		return nil, err
	}
	groups, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range groups {
		g, err := strconv.ParseUint(name, 10, 64)
		if err != nil || strconv.FormatUint(g, 10) != name {
			return nil, foreign(filepath.Join(dir, name))
		}
		if err := s.clean(raft.GroupID(g)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func foreign(path string) error {
	return fmt.Errorf("snap: %s is no snapshot; move it out of the directory, which must hold nothing else", path)
}

// clean removes the temporary files of a group, and parts of snapshots that are older
// than others, and makes the rest durable: a crash may have come between a rename and
// the sync that follows it.
func (s *Store) clean(g raft.GroupID) error {
	dir := s.groupDir(g)
	names, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	newest := "" // names sort as the entries do
	for _, name := range names {
		_, part := parseName(name, partSuffix)
		if _, ok := parseName(name, suffix); ok || part {
			newest = max(newest, name)
		}
	}
	for _, name := range names {
		_, part := parseName(name, partSuffix)
		if _, ok := parseName(name, suffix); ok || part && name == newest {
			continue
		}
		path := filepath.Join(dir, name)
		if !part && !temporary(name) {
			return foreign(path)
		}
		if err := s.fs.Remove(path); err != nil {
			return err
		}
	}
	return s.fs.SyncDir(dir)
}

// List returns the entries that the group's snapshots stand for, oldest first.
// That a snapshot is listed does not mean that it can be read.
func (s *Store) List(g raft.GroupID) ([]raft.EntryID, error) {
	names, err := s.fs.List(s.groupDir(g))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil // the group never had one
	}
	if err != nil {
		return nil, err
	}
	var ids []raft.EntryID
	for _, name := range names {
		if id, ok := parseName(name, suffix); ok {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b raft.EntryID) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Term, b.Term))
	})
	return ids, nil
}

// Latest returns the name of the group's newest snapshot and whether there is
// one. A [DamageError] means that it is there and cannot be used; an older
// one in List may still be.
func (s *Store) Latest(g raft.GroupID) (raft.Snapshot, bool, error) {
	ids, err := s.List(g)
	if err != nil || len(ids) == 0 {
		return raft.Snapshot{}, false, err
	}
	r, err := s.Open(g, ids[len(ids)-1])
	if err != nil {
		return raft.Snapshot{}, false, err
	}
	return r.Meta(), true, r.Close()
}

// Remove removes a snapshot; it is no error if there is none.
func (s *Store) Remove(g raft.GroupID, id raft.EntryID) error {
	err := s.fs.Remove(s.path(g, id))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fs.SyncDir(s.groupDir(g))
}

// Forget removes all that there is of a group; nobody must be writing or receiving a
// snapshot of it, or reading one, where what is open cannot be removed.
func (s *Store) Forget(g raft.GroupID) error {
	dir := s.groupDir(g)
	names, err := s.fs.List(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		err = errors.Join(err, s.fs.Remove(filepath.Join(dir, name)))
	}
	if err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}

// KeepOnly removes all snapshots of the group but one. Snapshots that are being
// written are left alone.
func (s *Store) KeepOnly(g raft.GroupID, keep raft.EntryID) error {
	ids, err := s.List(g)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id == keep {
			continue
		}
		if err := s.Remove(g, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) groupDir(g raft.GroupID) string {
	return filepath.Join(s.dir, strconv.FormatUint(uint64(g), 10))
}

func (s *Store) path(g raft.GroupID, id raft.EntryID) string {
	return filepath.Join(s.groupDir(g), baseName(id)+suffix)
}

func baseName(id raft.EntryID) string {
	return fmt.Sprintf("%0*d-%0*d", nameDigits, id.Index, nameDigits, id.Term)
}

// parseName returns the entry that a snapshot of this file name, with that ending,
// stands for.
func parseName(name, suffix string) (id raft.EntryID, ok bool) {
	numbers, found := strings.CutSuffix(name, suffix)
	if !found {
		return id, false
	}
	return parseBaseName(numbers)
}

func parseBaseName(numbers string) (id raft.EntryID, ok bool) {
	index, term, _ := strings.Cut(numbers, "-")
	i, err1 := strconv.ParseUint(index, 10, 64)
	t, err2 := strconv.ParseUint(term, 10, 64)
	id = raft.EntryID{Term: raft.Term(t), Index: raft.Index(i)}
	return id, err1 == nil && err2 == nil && baseName(id) == numbers
}

// temporary reports whether the name is one that a Writer uses.
func temporary(name string) bool {
	rest, found := strings.CutSuffix(name, temporarySuffix)
	numbers, count, dotted := strings.Cut(rest, ".")
	_, err := strconv.ParseUint(count, 10, 64)
	_, ok := parseBaseName(numbers)
	return found && dotted && err == nil && ok
}
