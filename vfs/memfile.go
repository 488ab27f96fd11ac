package vfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// inode is a file apart from its names: what programs see of it, what the disk
// has, and what leads from one to the other. Most files that a crash leaves are never
// written again: their bytes are copied when they are changed, not before.
type inode struct {
	current []byte
	durable []byte
	pending []edit

	currentLent bool // somebody else relies on these bytes
	durableLent bool
}

// edit is one change of a file that is not yet durable: bytes written at an
// offset or, where bytes is nil, a change of its length to that offset.
type edit struct {
	offset int64
	bytes  []byte
}

func (e edit) apply(data []byte) []byte {
	if e.bytes == nil {
		return resize(data, e.offset)
	}
	data = resize(data, max(int64(len(data)), e.offset+int64(len(e.bytes))))
	copy(data[e.offset:], e.bytes)
	return data
}

// resize returns data with the given length; what is new is zero.
func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

func (n *inode) edit(e edit) {
	if n.currentLent {
		n.current, n.currentLent = bytes.Clone(n.current), false
	}
	n.current = e.apply(n.current)
	n.pending = append(n.pending, e)
}

func (n *inode) truncate(size int64) {
	if size != int64(len(n.current)) {
		n.edit(edit{offset: size})
	}
}

func (n *inode) sync() {
	if n.durableLent && len(n.pending) > 0 {
		n.durable, n.durableLent = bytes.Clone(n.durable), false
	}
	for _, e := range n.pending {
		n.durable = e.apply(n.durable)
	}
	n.pending = nil
}

// crash returns the file as the disk has it, with what survives of the edits.
func (n *inode) crash(survives Survival) *inode {
	if len(n.pending) == 0 {
		n.durableLent = true
		return &inode{current: n.durable, durable: n.durable, currentLent: true, durableLent: true}
	}
	data := bytes.Clone(n.durable)
	for _, e := range n.pending {
		if e.bytes == nil {
			if survives(1) > 0 {
				data = e.apply(data)
			}
			continue
		}
		if kept := survives(len(e.bytes)); kept > 0 {
			data = edit{e.offset, e.bytes[:kept]}.apply(data)
		}
	}
	return &inode{current: data, durable: data, currentLent: true}
}

func (n *inode) String() string {
	return fmt.Sprintf("%d bytes, %d changes not synced", len(n.current), len(n.pending))
}

// memFile is an open file of a Mem.
type memFile struct {
	fs     *Mem
	path   string
	node   *inode
	closed bool
}

// enter locks the file system for one operation on this file.
func (f *memFile) enter(op Op) error {
	f.fs.mu.Lock()
	if f.closed {
		f.fs.mu.Unlock()
		return pathError(op, f.path, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter(OpRead); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, pathError(OpRead, f.path, fs.ErrInvalid)
	}
	if off >= int64(len(f.node.current)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.current[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter(OpWrite); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, pathError(OpWrite, f.path, fs.ErrInvalid)
	}
	growth := off + int64(len(p)) - int64(len(f.node.current))
	n := len(p) - int(min(int64(len(p)), growth-f.fs.room(growth))) // as on a real one, the part that there is room for
	if n > 0 {
		f.node.edit(edit{off, append([]byte(nil), p[:n]...)})
	}
	if n < len(p) {
		return n, pathError(OpWrite, f.path, syscall.ENOSPC)
	}
	return n, nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.enter(OpTruncate); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size < 0 {
		return pathError(OpTruncate, f.path, fs.ErrInvalid)
	}
	if growth := size - int64(len(f.node.current)); growth > f.fs.room(growth) {
		return pathError(OpTruncate, f.path, syscall.ENOSPC)
	}
	f.node.truncate(size)
	return nil
}

func (f *memFile) Sync() error {
	if err := f.enter(OpSync); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.node.sync()
	return nil
}

// forget is what a kernel does after a sync that failed: the pages count as
// clean, so that they read well and no later sync writes them.
func (f *memFile) forget() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.pending = nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.enter(OpSize); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return int64(len(f.node.current)), nil
}

func (f *memFile) Close() error {
	if err := f.enter(OpOpen); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}
