package fsmtest_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// note keeps all commands, one behind the other, in a file that it replaces as a
// whole. Its flaw, if it has one, breaks a promise of a durable machine.
type note struct {
	fs      vfs.FS
	flaw    string
	state   noteState
	written noteState // what the file holds
}

type noteState struct {
	applied raft.Index
	text    string
}

const noteFile, noteDir = "data/note", "data"

func openNote(flaw string) func(vfs.FS) (quorate.DurableStateMachine, error) {
	return func(files vfs.FS) (quorate.DurableStateMachine, error) {
		n := &note{fs: files, flaw: flaw}
		if err := files.MakeDir(noteDir); err != nil {
			return nil, err
		}
		f, err := files.Open(noteFile)
		if errors.Is(err, fs.ErrNotExist) {
			return n, nil
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		err = n.read(io.NewSectionReader(f, 0, size))
		return n, err
	}
}

// read takes over a state: its sum, the index, the text.
func (n *note) read(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(data) < 12 || crc32.ChecksumIEEE(data[4:]) != binary.LittleEndian.Uint32(data) {
		return errors.New("the note is damaged")
	}
	n.state = noteState{raft.Index(binary.LittleEndian.Uint64(data[4:])), string(data[12:])}
	if n.flaw == "index lost" {
		n.state.applied = 0
	}
	return nil
}

func (s noteState) bytes() []byte {
	data := binary.LittleEndian.AppendUint64(make([]byte, 4), uint64(s.applied))
	data = append(data, s.text...)
	binary.LittleEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:]))
	return data
}

func (n *note) Apply(batch []quorate.Command) error {
	for i := range batch {
		n.state.text += string(batch[i].Data)
		n.state.applied = batch[i].Index
		batch[i].Result = len(n.state.text)
	}
	if len(n.state.text)%3 == 0 { // without being asked to
		return n.Sync()
	}
	return nil
}

func (n *note) Sync() error {
	state := n.state
	switch n.flaw {
	case "no sync":
		return nil
	case "index behind":
		state.applied = n.written.applied
	case "index ahead":
		state.text = n.written.text
	}
	if err := n.write(state.bytes()); err != nil {
		return err
	}
	n.written = n.state
	return nil
}

// write replaces the file.
func (n *note) write(data []byte) error {
	name := noteFile + ".tmp"
	if n.flaw == "in place" {
		name = noteFile
	}
	f, err := n.fs.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if n.flaw != "file not synced" {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n.flaw != "in place" {
		if err := n.fs.Rename(name, noteFile); err != nil {
			return err
		}
	}
	if n.flaw == "name not synced" {
		return nil
	}
	return n.fs.SyncDir(noteDir)
}

func (n *note) Applied() raft.Index {
	if n.flaw == "wrong index" {
		return n.state.applied + 1
	}
	return n.state.applied
}

func (n *note) Snapshot() (quorate.View, error) { return noteView(n.state.bytes()), nil }

type noteView []byte

func (v noteView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}
func (noteView) Close() error { return nil }

func (n *note) Restore(r io.Reader) error {
	applied := n.state.applied
	if err := n.read(r); err != nil {
		return err
	}
	if n.flaw == "index kept" {
		n.state.applied = applied
	}
	return nil
}

func onFiles(flaw string) fsmtest.Config {
	return fsmtest.Config{Open: openNote(flaw), Command: word, Runs: 40, Commands: 40}
}

func TestAGoodDurableMachinePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { fsmtest.Test(t, onFiles("")) })
}

// durableFlaws are the ways in which a durable machine is broken, and what is said
// about each.
var durableFlaws = map[string]string{
	"no sync":         "is lost or was never reached",
	"index lost":      "Applied returns 0",
	"index behind":    "is lost or was never reached",
	"index ahead":     "applied twice",
	"index kept":      "after a Restore, Applied returns",
	"wrong index":     "after a start, Applied returns 1 instead of 0",
	"in place":        "cannot be opened after a crash: the note is damaged",
	"file not synced": "cannot be opened after a crash: the note is damaged",
	"name not synced": "is lost or was never reached",
}

func TestABrokenDurableMachineIsFound(t *testing.T) {
	for _, flaw := range slices.Sorted(maps.Keys(durableFlaws)) {
		t.Run(flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { found(t, fsmtest.Check(onFiles(flaw)), durableFlaws[flaw]) })
		})
	}
}

// cabinet is a machine whose storage is known only to itself: what it kept at the
// last Sync.
type cabinet struct {
	shelf
	applied, kept raft.Index
	keptState     shelfState
}

func (c *cabinet) Apply(batch []quorate.Command) error {
	c.applied = batch[len(batch)-1].Index
	return c.shelf.Apply(batch)
}

func (c *cabinet) Applied() raft.Index { return c.applied }

func (c *cabinet) Sync() error {
	c.keptState = shelfState{maps.Clone(c.State.Words), c.State.Count}
	c.kept = c.applied
	return nil
}

func (c *cabinet) Snapshot() (quorate.View, error) {
	data := binary.LittleEndian.AppendUint64(nil, uint64(c.applied))
	body, err := io.ReadAll(c.saved())
	return noteView(append(data, body...)), err
}

func (c *cabinet) Restore(r io.Reader) error {
	var applied uint64
	if err := binary.Read(r, binary.LittleEndian, &applied); err != nil {
		return err
	}
	err := c.shelf.Restore(r)
	if err == nil {
		c.applied = raft.Index(applied)
	}
	return err
}

func inCabinet(flaw string) fsmtest.Config {
	return fsmtest.Config{
		New: func() quorate.StateMachine {
			return &cabinet{shelf: shelf{State: shelfState{Words: map[string]string{}}}, keptState: shelfState{Words: map[string]string{}}}
		},
		Reopen: func(m quorate.DurableStateMachine) quorate.DurableStateMachine {
			old := m.(*cabinet)
			again := &cabinet{applied: old.kept, kept: old.kept, keptState: old.keptState}
			again.State = shelfState{maps.Clone(old.keptState.Words), old.keptState.Count}
			if flaw == "twice" {
				again.State = old.State // the effects are there, the index is not
			}
			return again
		},
		Command: word, Runs: 8, Commands: 60,
	}
}

func TestAMachineOfAnotherStorageIsReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsmtest.Test(t, inCabinet(""))
		found(t, fsmtest.Check(inCabinet("twice")), "applied twice")
	})
}
