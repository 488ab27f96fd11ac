//go:build unix

package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// book is the state machine of a group: which commands of each writer have been
// carried out, and a hash of all of them in their order. A command that is missing,
// one that came twice and one in another place than elsewhere all show.
type book struct {
	mu sync.Mutex // held to apply, and to look
	page
}

// page is the state, as a snapshot has it.
type page struct {
	Index   raft.Index // of the last command
	Hash    []byte     // of all commands and their indices
	Twice   int        // commands that had been carried out before
	Writers []*writer  // by number
	Recent  [][]byte   // the last commands, so that a snapshot has some size
}

// recent is how many commands are kept.
const recent = 8

// writer is what has come of the commands of one process, which numbers them from 1.
type writer struct {
	ID   uint32
	Last uint32   // the highest number that came
	Gaps []uint32 `json:",omitempty"` // below it, those that have not come, rising
}

func (w *writer) holds(number uint32) bool {
	_, gap := slices.BinarySearch(w.Gaps, number)
	return number <= w.Last && !gap
}

// take notes a number, and reports whether it has not come before.
func (w *writer) take(number uint32) bool {
	for ; w.Last < number; w.Last++ {
		w.Gaps = append(w.Gaps, w.Last+1)
	}
	at, gap := slices.BinarySearch(w.Gaps, number)
	if gap {
		w.Gaps = slices.Delete(w.Gaps, at, at+1)
	}
	return gap
}

// headerSize is what a command begins with: its writer and its number.
const headerSize = 8

func putHeader(command []byte, writer, number uint32) {
	binary.LittleEndian.PutUint32(command, writer)
	binary.LittleEndian.PutUint32(command[4:], number)
}

// Apply implements [quorate.StateMachine]. The result is the command's number.
func (b *book) Apply(batch []quorate.Command) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range batch {
		c := &batch[i]
		if len(c.Data) < headerSize {
			return fmt.Errorf("soak: command %d has %d bytes, which nobody has proposed", c.Index, len(c.Data))
		}
		number := binary.LittleEndian.Uint32(c.Data[4:])
		if !b.writer(binary.LittleEndian.Uint32(c.Data)).take(number) {
			b.Twice++
		}
		sum := sha256.New()
		_ = binary.Write(sum, binary.LittleEndian, c.Index) // a hash takes whatever it is given
		_, _ = sum.Write(b.Hash)
		_, _ = sum.Write(c.Data)
		b.Index, b.Hash = c.Index, sum.Sum(nil)
		if len(b.Recent) == recent {
			b.Recent = slices.Delete(b.Recent, 0, 1)
		}
		b.Recent = append(b.Recent, bytes.Clone(c.Data))
		c.Result = number
	}
	return nil
}

// writer returns the writer of that number, which may be a new one.
func (p *page) writer(id uint32) *writer {
	at, found := find(p.Writers, id)
	if !found {
		p.Writers = slices.Insert(p.Writers, at, &writer{ID: id})
	}
	return p.Writers[at]
}

func find(writers []*writer, id uint32) (int, bool) {
	return slices.BinarySearchFunc(writers, id, func(w *writer, id uint32) int { return cmp.Compare(w.ID, id) })
}

// held reports whether a command has been carried out.
func held(writers []*writer, writer, number uint32) bool {
	at, found := find(writers, writer)
	return found && writers[at].holds(number)
}

// holds reports whether a command has been carried out here.
func (b *book) holds(writer, number uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return held(b.Writers, writer, number)
}

// Snapshot implements [quorate.StateMachine]. The state is small enough for a copy.
func (b *book) Snapshot() (quorate.View, error) {
	v, err := b.copy()
	return v, err
}

func (b *book) copy() (view, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.Marshal(&b.page)
}

// Restore implements [quorate.StateMachine].
func (b *book) Restore(r io.Reader) error {
	var p page
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return fmt.Errorf("soak: a snapshot that is none: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.page = p
	return nil
}

type view []byte

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}

func (view) Close() error { return nil }
