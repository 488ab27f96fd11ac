package snap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"path/filepath"
	"slices"

	"github.com/quorate-db/quorate/raft"
)

// Prefix is how the content of a snapshot begins.
type Prefix struct {
	Size int64 // bytes
	Sum  Sum   // of them
}

// Sum tells contents apart: CRC-32C in the upper half, CRC-32 (IEEE) in the lower one. Zero
// is that of nothing. Who means harm could make two equal, and is kept out by TLS.
type Sum uint64

// Of is the sum with more bytes.
func (s Sum) Of(more []byte) Sum {
	return Sum(crc32.Update(uint32(s>>32), castagnoli, more))<<32 | Sum(crc32.Update(uint32(s), crc32.IEEETable, more))
}

// Receiver takes a snapshot that a leader streams to us. It ends with Commit, Abort
// or Keep; after Keep the next Receive of the same snapshot goes on where this one
// was. What it holds is claimed by its hash: state machines may write different
// bytes for one state, so that a snapshot of the same name need not be the same.
type Receiver struct {
	*Writer
	first int64 // where the content begins in the file
	held  Prefix
}

// Receive begins to take a snapshot of the group that stands for meta, or goes on with
// what an earlier Receiver has kept of it. Whatever was kept of another one is
// removed. There must be one Receiver of a group at a time.
func (s *Store) Receive(g raft.GroupID, meta raft.Snapshot) (*Receiver, error) {
	if err := meta.Check(); err != nil {
		return nil, err
	}
	name := baseName(meta.ID) + partSuffix
	err := s.dropParts(g, func(part string, _ raft.EntryID) bool { return part != name })
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.groupDir(g), name)
	if r := s.writer(g, meta.ID, path).reopen(header(g, &meta)); r != nil {
		return r, nil
	}
	w := s.writer(g, meta.ID, path)
	if err := w.create(g, &meta); err != nil {
		return nil, errors.Join(err, s.DropPart(g, meta.ID.Index))
	}
	return &Receiver{w, w.at, Prefix{}}, nil
}

// reopen goes on with a file that was kept. It returns nil if there is none, or none
// that can be read: it is only a matter of what need not be sent again.
func (w *Writer) reopen(header []byte) *Receiver {
	file, err := w.store.fs.Open(w.temporary)
	if err != nil {
		return nil
	}
	w.file = file
	held, err := w.scan(header)
	if err != nil || held.Size == 0 {
		_ = file.Close() // nothing was written
		return nil
	}
	return &Receiver{w, int64(len(header)), held}
}

// scan reads a file that was kept up to where it is as it was written, and cuts off
// what is behind. The last chunk, if it is not full, is there to be filled.
func (w *Writer) scan(header []byte) (held Prefix, err error) {
	length, err := w.file.Size()
	if err != nil {
		return held, err
	}
	b := make([]byte, len(header))
	if err := readFull(w.file, b, 0); err != nil {
		return held, err
	}
	if !bytes.Equal(b, header) {
		return held, errors.New("snap: what was kept is of another snapshot")
	}
	w.at = int64(len(header))
	for full := true; full && w.read(length); {
		data := w.chunk[chunkHeader:]
		held = Prefix{held.Size + int64(len(data)), held.Sum.Of(data)}
		if full = len(data) == chunkData; full {
			w.at += int64(len(w.chunk))
			w.size += chunkData
			w.sum = crc32.Update(w.sum, castagnoli, data)
			w.chunk = w.chunk[:chunkHeader]
		}
	}
	return held, w.file.Truncate(w.at)
}

// read reads the next chunk of a file of the given length, in bytes, and reports
// whether it is there, and whole.
func (w *Writer) read(length int64) bool {
	w.chunk = w.chunk[:chunkHeader]
	if length-w.at < chunkHeader || readFull(w.file, w.chunk, w.at) != nil {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(w.chunk))
	if n == 0 || n > min(chunkData, length-w.at-chunkHeader) {
		return false
	}
	want := binary.LittleEndian.Uint32(w.chunk[4:])
	w.chunk = slices.Grow(w.chunk, int(n))[:chunkHeader+n]
	data := w.chunk[chunkHeader:]
	if readFull(w.file, data, w.at+chunkHeader) != nil || chunkSum(data, w.size) != want {
		w.chunk = w.chunk[:chunkHeader]
		return false
	}
	return true
}

// Held returns what was received already.
func (r *Receiver) Held() Prefix { return r.held }

// Begin says from where on the sender sends, in bytes: from the end of what is held,
// or from the beginning, because what it sends is something else.
func (r *Receiver) Begin(from int64) error {
	// IS2 Fig 13: a gap could be found by no checksum of ours, since we compute
	// them; and what comes twice would be there twice.
	if from != 0 && from != r.held.Size {
		return fmt.Errorf("snap: a snapshot is sent from byte %d on, where %d are there", from, r.held.Size)
	}
	if from == r.held.Size {
		return nil
	}
	w := r.Writer
	w.at, w.synced, w.size, w.sum, w.chunk = r.first, 0, 0, 0, w.chunk[:chunkHeader]
	r.held = Prefix{}
	return w.file.Truncate(r.first)
}

// Keep ends it, and leaves what was received to the next Receiver of the same
// snapshot. It is not made durable: after a power cut there may be less of it.
func (r *Receiver) Keep() error {
	w := r.Writer
	if errors.Is(w.err, errEnded) {
		return nil
	}
	if len(w.chunk) > chunkHeader {
		w.flush()
	}
	if err := w.err; err != nil || w.size == 0 {
		return errors.Join(err, r.Abort())
	}
	w.err = errEnded
	return w.file.Close()
}

// DropPart removes what was kept of a snapshot at or before the given entry, which
// the group needs no more.
func (s *Store) DropPart(g raft.GroupID, upTo raft.Index) error {
	return s.dropParts(g, func(_ string, id raft.EntryID) bool { return id.Index <= upTo })
}

// dropParts removes the files of a group's receivers for which that is said.
func (s *Store) dropParts(g raft.GroupID, drop func(name string, id raft.EntryID) bool) error {
	dir := s.groupDir(g)
	names, err := s.fs.List(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if id, ok := parseName(name, partSuffix); ok && drop(name, id) {
			err = errors.Join(err, s.fs.Remove(filepath.Join(dir, name)))
		}
	}
	return err
}
