package snap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

const (
	magic         = "quorsnap"
	version       = 2
	oldestVersion = 1  // that is read; its names do not say where the configuration stood
	fixedHeader   = 24 // the part of the header before the name
	chunkHeader   = 8
	chunkData     = 64 << 10
	firstChunk    = 4 << 10 // memory to begin with: most groups are small
	footerSize    = 20
	checksum      = 4
	syncStep      = 16 << 20 // bytes that are written between two syncs

	// maxName is more than 127 members with 65 KiB of address and information
	// each; a damaged length does not take more memory than that.
	maxName = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer writes one snapshot. It ends with Commit or with Abort; Abort after
// Commit does nothing, so that it can be deferred.
type Writer struct {
	store     *Store
	dir       string
	temporary string
	path      string

	file   vfs.File
	at     int64  // where the next chunk goes in the file
	synced int64  // up to here the file was synced
	chunk  []byte // header and data of the chunk that is being filled
	size   int64  // of the content in chunks before it, in bytes
	sum    uint32 // of that content
	err    error  // the first failure, or errEnded
}

var errEnded = errors.New("snap: the snapshot was already committed or aborted")

// Create begins the snapshot of a group that stands for meta. A snapshot of the
// same name stays as it is until Commit replaces it.
func (s *Store) Create(g raft.GroupID, meta raft.Snapshot) (*Writer, error) {
	if err := meta.Check(); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s.%d%s", baseName(meta.ID), s.writers.Add(1), temporarySuffix)
	w := s.writer(g, meta.ID, filepath.Join(s.groupDir(g), name))
	if err := w.create(g, &meta); err != nil {
		return nil, err
	}
	return w, nil
}

// writer returns a Writer of a file that is not yet open.
func (s *Store) writer(g raft.GroupID, id raft.EntryID, temporary string) *Writer {
	return &Writer{
		store: s, dir: s.groupDir(g), temporary: temporary, path: s.path(g, id),
		chunk: make([]byte, chunkHeader, firstChunk),
	}
}

// create begins the file.
func (w *Writer) create(g raft.GroupID, meta *raft.Snapshot) (err error) {
	if err := w.store.fs.MakeDir(w.dir); err != nil {
		return err
	}
	if w.file, err = w.store.fs.Create(w.temporary); err != nil {
		return err
	}
	w.put(header(g, meta))
	if err := w.err; err != nil {
		return errors.Join(err, w.Abort())
	}
	return nil
}

func header(g raft.GroupID, meta *raft.Snapshot) []byte {
	name := codec.AppendSnapshot(nil, meta)
	b := append(make([]byte, 0, fixedHeader+len(name)+checksum), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = binary.LittleEndian.AppendUint64(b, uint64(g))
	b = append(b, name...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// put writes to the file; after the first error it does nothing.
func (w *Writer) put(b []byte) {
	if w.err != nil {
		return
	}
	_, w.err = w.file.WriteAt(b, w.at)
	w.at += int64(len(b))
	// A large one is synced in steps: one sync of all of it would keep everybody
	// else's waiting, the log's above all.
	if w.err == nil && w.at-w.synced >= syncStep {
		w.synced = w.at
		w.err = w.file.Sync()
	}
}

// Write adds to the content. An error is final: the snapshot can only be aborted.
func (w *Writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && w.err == nil; {
		n := min(len(rest), chunkHeader+chunkData-len(w.chunk))
		w.chunk = append(w.chunk, rest[:n]...)
		rest = rest[n:]
		if len(w.chunk) == chunkHeader+chunkData {
			w.flush()
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// flush writes the chunk.
func (w *Writer) flush() {
	data := w.chunk[chunkHeader:]
	binary.LittleEndian.PutUint32(w.chunk, uint32(len(data)))
	binary.LittleEndian.PutUint32(w.chunk[4:], chunkSum(data, w.size))
	w.put(w.chunk)
	w.size += int64(len(data))
	w.sum = crc32.Update(w.sum, castagnoli, data)
	w.chunk = w.chunk[:chunkHeader]
}

// chunkSum depends on the place, so that chunks that changed places are noticed.
func chunkSum(data []byte, offset int64) uint32 {
	return crc32.Update(uint32(offset), castagnoli, data)
}

// Commit makes the snapshot durable, under its name, in place of one of the same
// name. After an error it is not there, unless the error came from the very last
// step, syncing the directory, when a crash decides.
func (w *Writer) Commit() error {
	if len(w.chunk) > chunkHeader {
		w.flush()
	}
	w.put(footer(w.size, w.sum))
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if err := w.err; err != nil {
		return errors.Join(err, w.Abort())
	}
	// Closed first, since some systems cannot rename an open file.
	w.err = errEnded
	err := w.file.Close()
	if err == nil {
		err = w.store.fs.Rename(w.temporary, w.path)
	}
	if err != nil {
		return errors.Join(err, w.store.fs.Remove(w.temporary))
	}
	return w.store.fs.SyncDir(w.dir)
}

func footer(size int64, sum uint32) []byte {
	b := make([]byte, 4, footerSize)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint32(b, sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Abort removes what was written so far.
func (w *Writer) Abort() error {
	if errors.Is(w.err, errEnded) {
		return nil
	}
	w.err = errEnded
	return errors.Join(w.file.Close(), w.store.fs.Remove(w.temporary))
}
