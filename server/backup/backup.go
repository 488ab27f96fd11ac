// Package backup is the file that a cluster is begun from anew: the store of one
// node at one moment, as package kv writes it, and what tells whether the file is
// whole.
//
//	store        a snapshot of package kv, which has a checksum of its own
//	zeros        up to a multiple of 512 bytes
//	sum(32)      SHA-256 of all before
//
// The end is etcd's, so that etcd's tools can save such a file. What is in it only
// quorate can read.
package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// sector is what the store is filled up to a multiple of.
const sector = 512

// Write writes a file of what a view writes, and returns its length.
func Write(w io.Writer, view io.WriterTo) (int64, error) {
	sum := sha256.New()
	n, err := view.WriteTo(io.MultiWriter(w, sum))
	if err != nil {
		return n, err
	}
	end := make([]byte, (sector-n%sector)%sector)
	sum.Write(end)
	more, err := w.Write(sum.Sum(end))
	return n + int64(more), err
}

// File is a whole one, open for reading.
type File struct {
	*io.SectionReader
	Sum  [sha256.Size]byte
	file *os.File
}

// Open opens a file and reads it once to see that it is whole. Its error says what
// is wrong with it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	out, err := check(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return out, nil
}

func check(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size() - sha256.Size
	if size < sector || size%sector != 0 {
		return nil, errors.New("this is no snapshot, or it was cut short: save it again")
	}
	out := &File{SectionReader: io.NewSectionReader(f, 0, size), file: f}
	if _, err := f.ReadAt(out.Sum[:], size); err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, out.SectionReader); err != nil {
		return nil, err
	}
	if !bytes.Equal(sum.Sum(nil), out.Sum[:]) {
		return nil, errors.New("this snapshot is damaged, or it is no snapshot: save it again")
	}
	_, err = out.Seek(0, io.SeekStart)
	return out, err
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
