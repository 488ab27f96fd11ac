package snap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// DamageError says that a snapshot is not as it was written.
type DamageError struct {
	Path   string // of the file
	Offset int64  // in bytes, of the part that is damaged
	Why    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("snap: %s is damaged at offset %d: %s; restore this member from its peers: "+
		"remove it from the cluster, empty its data directory and let it join again", e.Path, e.Offset, e.Why)
}

// Reader reads one snapshot and checks it on the way.
type Reader struct {
	path string
	file vfs.File
	meta raft.Snapshot
	size int64  // of the content, in bytes
	want uint32 // checksum of the content

	at   int64  // where the next chunk begins in the file
	read int64  // content in the chunks so far
	sum  uint32 // of that content
	buf  []byte
	rest []byte // part of buf that was not yet given away
	err  error
}

// Open opens the group's snapshot that stands for id. Header and footer are
// checked here, the content while it is read. The error is a [DamageError], or
// wraps fs.ErrNotExist if there is no such snapshot.
func (s *Store) Open(g raft.GroupID, id raft.EntryID) (*Reader, error) {
	r := &Reader{path: s.path(g, id)}
	var err error
	if r.file, err = s.fs.Open(r.path); err != nil {
		return nil, err
	}
	if err := r.begin(g, id); err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	return r, nil
}

func (r *Reader) begin(g raft.GroupID, id raft.EntryID) error {
	length, err := r.file.Size()
	if err != nil {
		return err
	}
	group, err := r.header(length)
	if err != nil {
		return err
	}
	if group != g || r.meta.ID != id {
		return r.damage(0, fmt.Sprintf("the file holds snapshot %v of group %d", r.meta.ID, group))
	}
	return r.footer(length)
}

func (r *Reader) damage(offset int64, why string) error { return &DamageError{r.path, offset, why} }

// header reads the header of a file of the given length, in bytes.
func (r *Reader) header(length int64) (raft.GroupID, error) {
	fixed := make([]byte, fixedHeader)
	if length < fixedHeader+checksum+footerSize {
		return 0, r.damage(0, "the file is too short to be a snapshot")
	}
	if err := readFull(r.file, fixed, 0); err != nil {
		return 0, err
	}
	if string(fixed[:len(magic)]) != magic {
		return 0, r.damage(0, "this is no snapshot")
	}
	name := int64(binary.LittleEndian.Uint32(fixed[12:]))
	if name > min(maxName, length-fixedHeader-checksum-footerSize) {
		return 0, r.damage(0, "the header is longer than the file, or than any can be")
	}
	b := make([]byte, fixedHeader+name+checksum)
	if err := readFull(r.file, b, 0); err != nil {
		return 0, err
	}
	end := len(b) - checksum
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return 0, r.damage(0, "the checksum of the header does not match")
	}
	if got := binary.LittleEndian.Uint32(b[8:]); got < oldestVersion || got > version {
		return 0, fmt.Errorf("snap: %s has format version %d, this program reads %d to %d; start the version of quorate that wrote it",
			r.path, got, oldestVersion, version)
	}
	meta, err := codec.DecodeSnapshot(b[fixedHeader:end])
	if err == nil {
		err = meta.Check()
	}
	if err != nil {
		return 0, r.damage(fixedHeader, err.Error())
	}
	r.meta, r.at = meta, int64(len(b))
	return raft.GroupID(binary.LittleEndian.Uint64(b[16:])), nil
}

// footer reads the footer of a file of the given length and sees whether what
// lies between it and the header has the right length.
func (r *Reader) footer(length int64) error {
	b, at := make([]byte, footerSize), length-footerSize
	if err := readFull(r.file, b, at); err != nil {
		return err
	}
	if crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
		return r.damage(at, "the checksum of the footer does not match, the end of the file may be missing")
	}
	size := binary.LittleEndian.Uint64(b[4:])
	chunks := size/chunkData + min(1, size%chunkData)
	if between := uint64(at - r.at); size > between || chunks*chunkHeader != between-size {
		return r.damage(at, fmt.Sprintf("the file does not have the length of a snapshot of %d bytes", size))
	}
	r.size, r.want = int64(size), binary.LittleEndian.Uint32(b[12:])
	return nil
}

func readFull(file vfs.File, b []byte, at int64) error {
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Meta returns what the snapshot stands for.
func (r *Reader) Meta() raft.Snapshot { return r.meta }

// Size returns the length of the content in bytes.
func (r *Reader) Size() int64 { return r.size }

// Read reads the content. It returns io.EOF only after all of it has been checked.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.rest, r.err = r.chunk()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// chunk reads and checks the next chunk.
func (r *Reader) chunk() ([]byte, error) {
	length := min(chunkData, r.size-r.read)
	if length == 0 {
		if r.sum != r.want {
			return nil, r.damage(r.at, "the checksum of the whole does not match")
		}
		return nil, io.EOF
	}
	if r.buf == nil {
		r.buf = make([]byte, chunkHeader+length) // the first is the longest
	}
	b := r.buf[:chunkHeader+length]
	if err := readFull(r.file, b, r.at); err != nil {
		return nil, err
	}
	data := b[chunkHeader:]
	if got := binary.LittleEndian.Uint32(b); int64(got) != length {
		return nil, r.damage(r.at, fmt.Sprintf("a chunk of %d bytes, where %d are expected", got, length))
	}
	if binary.LittleEndian.Uint32(b[4:]) != chunkSum(data, r.read) {
		return nil, r.damage(r.at, "the checksum of a chunk does not match")
	}
	r.at += int64(len(b))
	r.read += length
	r.sum = crc32.Update(r.sum, castagnoli, data)
	return data, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
