package main

import (
	"errors"
	"os"
)

// segmentBytes is how long a file becomes before the next one takes its place: as in
// etcd's log.
const segmentBytes = 64_000_000

// file writes 4 KiB behind 4 KiB.
type file struct {
	path     string
	sync     func(*os.File) error
	allocate int64 // bytes, beforehand; 0: none
	over     bool  // the file is written beforehand, and then over and over

	out *os.File
	end int64
}

func (f file) contestant(name string) contestant {
	data := make([]byte, batchBytes)
	return contestant{
		name: name,
		append: func() error {
			if err := f.makeRoom(); err != nil {
				return err
			}
			if _, err := f.out.WriteAt(data, f.end); err != nil {
				return err
			}
			f.end += batchBytes
			return f.sync(f.out)
		},
		close: func() error {
			if f.out == nil {
				return nil
			}
			return f.out.Close()
		},
	}
}

// makeRoom sees to it that a batch fits behind the last one.
func (f *file) makeRoom() error {
	switch {
	case f.out != nil && f.end+batchBytes <= segmentBytes:
		return nil
	case f.out != nil && f.over:
		f.end = 0
		return nil
	default:
		return f.replace()
	}
}

// replace begins a new file in place of the one before.
func (f *file) replace() error {
	if f.out != nil {
		if err := errors.Join(f.out.Close(), os.Remove(f.path)); err != nil {
			return err
		}
	}
	out, err := os.Create(f.path)
	if err != nil {
		return err
	}
	f.out, f.end = out, 0
	if f.allocate > 0 {
		if err := allocate(out, f.allocate); err != nil {
			return err
		}
	}
	if f.over {
		if _, err := out.Write(make([]byte, segmentBytes)); err != nil {
			return err
		}
	}
	return out.Sync()
}
