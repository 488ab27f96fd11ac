package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Mem is a file system in memory. It keeps two images: what programs see, and
// what the disk holds; Sync and SyncDir carry changes from one to the other, and
// a [Mem.Crash] shows what is left without the rest. It is deterministic: the same
// calls lead to the same answers. The zero value is not ready; use [NewMem].
//
// Directories are durable at once, since that is what MakeDir promises.
type Mem struct {
	mu      sync.Mutex
	dirs    map[string]*memDir
	locked  map[string]bool
	current map[string]*inode // what programs see, by path

	capacity int64 // of all files together, in bytes; zero: there is no end to it
}

// memDir is what the disk knows of one directory.
type memDir struct {
	durable map[string]*inode // by path
	pending []change          // in order; not yet durable
}

// change is one step of a directory: from loses its name, to gets it. One of them
// may be empty: a creation has no from, a removal no to.
type change struct {
	from, to string
	node     *inode
}

func (c change) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

// NewMem returns an empty file system that has only the root and the working
// directory.
func NewMem() *Mem {
	return &Mem{
		dirs:    map[string]*memDir{".": newMemDir(), "/": newMemDir()},
		locked:  map[string]bool{},
		current: map[string]*inode{},
	}
}

func newMemDir() *memDir { return &memDir{durable: map[string]*inode{}} }

func pathError(op Op, path string, err error) error {
	return &fs.PathError{Op: op.String(), Path: path, Err: err}
}

// SetCapacity lets the disk be full once all files together have so many bytes; zero:
// never. What is there stays, were it more than that.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Used returns how many bytes all files have.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used()
}

func (m *Mem) used() (bytes int64) {
	for _, node := range m.current {
		bytes += int64(len(node.current))
	}
	return bytes
}

// Space implements [FS].
func (m *Mem) Space(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return math.MaxInt64, math.MaxInt64, nil
	}
	return max(0, m.capacity-m.used()), m.capacity, nil
}

// room returns how many of so many bytes a file may grow by.
func (m *Mem) room(growth int64) int64 {
	if m.capacity == 0 || growth <= 0 {
		return growth
	}
	return min(growth, max(0, m.capacity-m.used()))
}

// Create implements [FS].
func (m *Mem) Create(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	dir := m.dirs[filepath.Dir(path)]
	if dir == nil {
		return nil, pathError(OpCreate, path, fs.ErrNotExist)
	}
	node := m.current[path]
	if node == nil {
		node = &inode{}
		m.current[path] = node
		dir.pending = append(dir.pending, change{to: path, node: node})
	}
	node.truncate(0)
	return &memFile{fs: m, path: path, node: node}, nil
}

// Open implements [FS].
func (m *Mem) Open(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	node := m.current[path]
	if node == nil {
		return nil, pathError(OpOpen, path, fs.ErrNotExist)
	}
	return &memFile{fs: m, path: path, node: node}, nil
}

// Rename implements [FS]. Both names must be in one directory; nothing here needs
// more, and what a crash leaves of a move between two is best never relied on.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	if filepath.Dir(from) != filepath.Dir(to) {
		return pathError(OpRename, from, fs.ErrInvalid)
	}
	node := m.current[from]
	if node == nil {
		return pathError(OpRename, from, fs.ErrNotExist)
	}
	m.change(change{from: from, to: to, node: node})
	return nil
}

// Remove implements [FS].
func (m *Mem) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	if m.current[path] == nil {
		return pathError(OpRemove, path, fs.ErrNotExist)
	}
	m.change(change{from: path})
	return nil
}

// change makes a change seen, and remembers it until the directory is synced.
func (m *Mem) change(c change) {
	c.apply(m.current)
	dir := m.dirs[filepath.Dir(c.from)]
	dir.pending = append(dir.pending, c)
}

// MakeDir implements [FS].
func (m *Mem) MakeDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path = filepath.Clean(path); m.dirs[path] == nil; path = filepath.Dir(path) {
		if m.current[path] != nil {
			return pathError(OpMakeDir, path, fs.ErrExist)
		}
		m.dirs[path] = newMemDir()
	}
	return nil
}

// List implements [FS].
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	if m.dirs[dir] == nil {
		return nil, pathError(OpList, dir, fs.ErrNotExist)
	}
	var names []string
	for path := range m.current {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	for path := range m.dirs {
		if filepath.Dir(path) == dir && path != dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements [FS].
func (m *Mem) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := m.dirs[filepath.Clean(path)]
	if dir == nil {
		return pathError(OpSyncDir, path, fs.ErrNotExist)
	}
	for _, c := range dir.pending {
		c.apply(dir.durable)
	}
	dir.pending = nil
	return nil
}

// Lock implements [FS]. All users of one Mem count as different processes.
func (m *Mem) Lock(dir string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	switch {
	case m.dirs[dir] == nil:
		return nil, pathError(OpLock, dir, fs.ErrNotExist)
	case m.locked[dir]:
		return nil, &LockedError{dir}
	}
	m.locked[dir] = true
	return memLock{m, dir}, nil
}

type memLock struct {
	fs  *Mem
	dir string
}

func (l memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locked, l.dir)
	return nil
}

// Survival decides what a crash leaves of one change that was not yet durable:
// given its size, which is never zero, it returns how much of it reached the
// disk. A write has as many units as bytes; every other change has one.
type Survival func(size int) int

// The two extremes: nothing that was not synced is left, or all of it.
var (
	Lost Survival = func(int) int { return 0 }
	Kept Survival = func(size int) int { return size }
)

// Crash returns the disk as a machine finds it after the power went out at this
// moment. The writes of a file survive each by itself: a disk reorders
// them. The changes of names in one directory survive in their order, up to the
// first that does not: file systems keep a journal of them. m is not changed, nor
// do the two have anything in common; whoever still uses m lives in the past.
func (m *Mem) Crash(survives Survival) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMem()
	after.capacity = m.capacity
	nodes := map[*inode]*inode{} // a file that two names hold for a moment stays one file
	for _, path := range slices.Sorted(maps.Keys(m.dirs)) {
		dir := m.dirs[path]
		names := maps.Clone(dir.durable)
		for _, c := range dir.pending {
			if survives(1) == 0 {
				break
			}
			c.apply(names)
		}
		after.dirs[path] = newMemDir()
		for _, name := range slices.Sorted(maps.Keys(names)) {
			old := names[name]
			if nodes[old] == nil {
				nodes[old] = old.crash(survives)
			}
			after.dirs[path].durable[name] = nodes[old]
			after.current[name] = nodes[old]
		}
	}
	return after
}

// String lists the files and their sizes, for failed tests.
func (m *Mem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(m.current)) {
		b.WriteString(path + " " + m.current[path].String() + "\n")
	}
	return b.String()
}
