package kv

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

var snapshotHeader = []byte("QKV\x04")

// The largest pair: a key, or a name, of zeros only, escaped, with two numbers, and a
// value with its revisions.
const (
	maxPairKey   = 1 + 2*MaxKeyBytes + 2 + 16
	maxPairValue = MaxValueBytes + 48
)

// Digest is a hash of the whole state. Two nodes that have applied the same index
// have the same digest, or one of them is wrong.
type Digest struct {
	State
	Sum uint64
}

// Hash reads the whole store, as of one moment and without blocking Apply.
func (m *Machine) Hash() (Digest, error) {
	view := m.store.View()
	defer view.Close()
	at, err := readMeta(view)
	if err != nil {
		return Digest{}, err
	}
	sum := sha256.New()
	if _, err := writePairs(view, sum); err != nil {
		return Digest{}, err
	}
	return Digest{State: at.state(), Sum: binary.BigEndian.Uint64(sum.Sum(nil))}, nil
}

// Snapshot returns the state as it is now, to be written from any goroutine.
func (m *Machine) Snapshot() (quorate.View, error) {
	return snapshot{m.store.View()}, nil
}

type snapshot struct{ view View }

func (s snapshot) Close() error { return s.view.Close() }

// WriteTo writes the snapshot in the form that the package comment describes.
func (s snapshot) WriteTo(w io.Writer) (int64, error) {
	sum := &checksum{}
	both := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	both.Write(snapshotHeader)
	n, err := writePairs(s.view, both)
	if err != nil {
		return n, err
	}
	both.WriteByte(0)
	if err := both.Flush(); err != nil {
		return n, fmt.Errorf("kv: writing a snapshot: %w", err)
	}
	last, err := w.Write(sum.bytes())
	return int64(len(snapshotHeader)) + n + 1 + int64(last), err
}

// writePairs writes every pair of the store, in order.
func writePairs(r Reader, w io.Writer) (n int64, err error) {
	var b []byte
	it := r.Iterate()
	for ok := it.Seek([]byte{0}); ok; ok = it.Next() {
		key, value := it.Pair()
		b = appendBytes(appendBytes(b[:0], key), value)
		wrote, err := w.Write(b)
		n += int64(wrote)
		if err != nil {
			it.Close()
			return n, fmt.Errorf("kv: writing a snapshot: %w", err)
		}
	}
	return n, it.Close()
}

// Restore replaces the whole state by one that a snapshot has written. If the
// snapshot is cut short, damaged or of another version, the old state remains.
func (m *Machine) Restore(r io.Reader) error {
	next := empty
	err := m.store.Replace(func(set func(key, value []byte) error) (err error) {
		next, err = readSnapshot(bufio.NewReaderSize(r, 64<<10), set)
		return err
	})
	if err != nil {
		return fmt.Errorf("kv: restoring a snapshot: %w; the old state is unchanged", err)
	}
	m.replaced(next)
	return nil
}

// replaced says that the store has another content.
func (m *Machine) replaced(next meta) {
	from := m.meta.revision
	m.meta = next
	m.advanced(from, nil)
}

// Stage keeps what a snapshot has written beside the state. If it is cut short, damaged,
// of another version, or goes on behind its end, nothing is kept.
func (m *Machine) Stage(at raft.Index, r io.Reader) error {
	err := m.store.Stage(uint64(at), func(set func(key, value []byte) error) error {
		in := bufio.NewReaderSize(r, 64<<10)
		if _, err := readSnapshot(in, set); err != nil {
			return err
		}
		switch _, err := in.ReadByte(); err {
		case io.EOF:
			return nil
		case nil:
			return errDamaged
		default:
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("kv: taking in a snapshot: %w", err)
	}
	return nil
}

// Adopt makes what was staged the state.
func (m *Machine) Adopt(at raft.Index) (bool, error) {
	adopted, err := m.store.Adopt(uint64(at))
	if err != nil || !adopted {
		return false, err
	}
	view := m.store.View()
	next, err := readMeta(view)
	if err := errors.Join(err, view.Close()); err != nil {
		return false, fmt.Errorf("kv: adopting a snapshot: %w", err)
	}
	m.replaced(next)
	return true, nil
}

// Unstage removes what was staged up to an index.
func (m *Machine) Unstage(upTo raft.Index) error { return m.store.Unstage(uint64(upTo)) }

// readSnapshot sets all pairs of a snapshot, and returns where it is.
func readSnapshot(r *bufio.Reader, set func(key, value []byte) error) (at meta, err error) {
	at = empty
	in := snapshotReader{r: r, sum: &checksum{}}
	err = in.read(func(key, value []byte) (err error) {
		if bytes.Equal(key, metaKey) {
			if at, err = decodeMeta(value); err != nil {
				return err
			}
		}
		return set(key, value)
	})
	return at, err
}

// Bump raises the revision, by 1 or more, and makes all before that unreadable, as a
// Compact there. It is for a store that has just been restored from a backup, on all
// members alike and before there is a log: clients may have seen revisions that the
// backup does not know of, and must neither meet them again with another content nor
// miss what came in between.
func (m *Machine) Bump(by int64) error {
	if by < 1 || by > maxBump || m.meta.revision > math.MaxInt64/2 {
		return fmt.Errorf("kv: revision %d cannot be raised by %d: name 1 to %d", m.meta.revision, by, int64(maxBump))
	}
	batch := m.store.Batch()
	defer batch.Close()
	s := &step{meta: m.meta, reader: batch, batch: batch}
	s.revision += by
	if err := s.compact(Compact{Revision: s.revision}); err != nil {
		return err
	}
	batch.Set(metaKey, s.meta.encode())
	if err := batch.Commit(); err != nil {
		return fmt.Errorf("kv: raising the revision: %w", err)
	}
	m.replaced(s.meta)
	return nil
}

// maxBump leaves as many revisions to those who write.
const maxBump = math.MaxInt64 / 4

// snapshotReader reads what WriteTo has written and sums up what it reads.
type snapshotReader struct {
	r    *bufio.Reader
	sum  *checksum
	buf  []byte
	lost error // of ReadByte: to tell a broken stream from a number that is none
}

var (
	errCutShort = errors.New("the snapshot is cut short; send it again")
	errDamaged  = errors.New("the snapshot is damaged; send it again")
)

func (s *snapshotReader) read(set func(key, value []byte) error) error {
	header, err := s.take(len(snapshotHeader))
	if err != nil {
		return err
	}
	if !bytes.Equal(header, snapshotHeader) {
		return fmt.Errorf("it begins with %q, not %q; it was written by another program or version", header, snapshotHeader)
	}
	var last, key []byte
	for {
		if key, err = s.bytes(key, maxPairKey); err != nil {
			return err
		}
		if len(key) == 0 {
			return s.checkSum()
		}
		if bytes.Compare(last, key) >= 0 || key[0] < tableMeta || key[0] > tableOwned || (last == nil && !bytes.Equal(key, metaKey)) {
			return errDamaged
		}
		value, err := s.bytes(s.buf, maxPairValue)
		if err != nil {
			return err
		}
		s.buf = value
		if err := set(key, value); err != nil {
			return err
		}
		last = append(last[:0], key...)
	}
}

// checkSum reads the end.
func (s *snapshotReader) checkSum() error {
	want := s.sum.bytes()
	got, err := s.take(len(want))
	if err == nil && !bytes.Equal(got, want) {
		return errDamaged
	}
	return err
}

// checksum is that of a snapshot: two of 32 bits, which machines compute many times as fast
// as SHA-256. It is there to find damage. Who means harm could replace a checksum of any
// kind with the rest, and is kept out by TLS.
type checksum struct{ castagnoli, ieee uint32 }

func (c *checksum) Write(p []byte) (int, error) {
	c.castagnoli = crc32.Update(c.castagnoli, castagnoli, p)
	c.ieee = crc32.Update(c.ieee, crc32.IEEETable, p)
	return len(p), nil
}

// bytes are the end of a snapshot.
func (c *checksum) bytes() []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, c.castagnoli), c.ieee)
}

// ReadByte lets binary.ReadUvarint read through the sum.
func (s *snapshotReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err != nil {
		s.lost = cutShort(err)
		return 0, err
	}
	s.sum.Write([]byte{b})
	return b, nil
}

// bytes reads a length, which it checks before it takes memory, and that many
// bytes, into buf if they fit.
func (s *snapshotReader) bytes(buf []byte, limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(s)
	switch {
	case s.lost != nil:
		return nil, s.lost
	case err != nil || n > limit:
		return nil, errDamaged
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(s.r, buf); err != nil {
		return nil, cutShort(err)
	}
	s.sum.Write(buf)
	return buf, nil
}

// take reads n bytes.
func (s *snapshotReader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, cutShort(err)
	}
	s.sum.Write(b)
	return b, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutShort
	}
	return err
}
