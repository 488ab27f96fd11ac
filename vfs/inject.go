package vfs

import "io"

// Op is what is done to a path.
type Op uint8

// The operations of [FS] and [File] that can fail.
const (
	OpCreate Op = iota + 1
	OpOpen
	OpRename // the path is the old name
	OpRemove
	OpMakeDir
	OpList
	OpSyncDir
	OpLock
	OpRead
	OpWrite
	OpTruncate
	OpSync
	OpSize
	OpSpace
)

var opNames = [...]string{
	"none", "create", "open", "rename", "remove", "mkdir", "list", "syncdir", "lock",
	"read", "write", "truncate", "sync", "size", "space",
}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// Changes reports whether the operation can change what is on the disk.
func (o Op) Changes() bool {
	switch o {
	case OpOpen, OpList, OpLock, OpRead, OpSize, OpSpace:
		return false
	default:
		return true
	}
}

// Inject returns inner with faults. Before every operation fault is asked; if it
// returns an error (syscall.EIO, syscall.ENOSPC), the operation fails with it. The
// callback also serves to watch: a test that wants to know what a crash at this
// very point would leave can look at the disk and return nil.
//
// Failed operations behave as badly as they may: a failed write has written the
// first half, and after a failed sync on a [Mem] the bytes can be read but no
// later sync makes them durable.
func Inject(inner FS, fault func(Op, string) error) FS { return faulty{inner, fault} }

type faulty struct {
	inner FS
	fault func(Op, string) error
}

// SyncMode is that of the file system within.
func (f faulty) SyncMode() SyncMode { return ModeOf(f.inner) }

func (f faulty) open(op Op, path string, open func(string) (File, error)) (File, error) {
	if err := f.fault(op, path); err != nil {
		return nil, err
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return faultyFile{file, path, f.fault}, nil
}

func (f faulty) Create(path string) (File, error) { return f.open(OpCreate, path, f.inner.Create) }
func (f faulty) Open(path string) (File, error)   { return f.open(OpOpen, path, f.inner.Open) }

func (f faulty) Rename(from, to string) error {
	if err := f.fault(OpRename, from); err != nil {
		return err
	}
	return f.inner.Rename(from, to)
}

func (f faulty) Remove(path string) error {
	if err := f.fault(OpRemove, path); err != nil {
		return err
	}
	return f.inner.Remove(path)
}

func (f faulty) MakeDir(path string) error {
	if err := f.fault(OpMakeDir, path); err != nil {
		return err
	}
	return f.inner.MakeDir(path)
}

func (f faulty) List(dir string) ([]string, error) {
	if err := f.fault(OpList, dir); err != nil {
		return nil, err
	}
	return f.inner.List(dir)
}

func (f faulty) SyncDir(dir string) error {
	if err := f.fault(OpSyncDir, dir); err != nil {
		return err
	}
	return f.inner.SyncDir(dir)
}

func (f faulty) Space(dir string) (free, total int64, err error) {
	if err := f.fault(OpSpace, dir); err != nil {
		return 0, 0, err
	}
	return f.inner.Space(dir)
}

func (f faulty) Lock(dir string) (io.Closer, error) {
	if err := f.fault(OpLock, dir); err != nil {
		return nil, err
	}
	return f.inner.Lock(dir)
}

type faultyFile struct {
	File
	path  string
	fault func(Op, string) error
}

func (f faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fault(OpRead, f.path); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fault(OpWrite, f.path); err != nil {
		n, inner := f.File.WriteAt(p[:len(p)/2], off)
		if inner != nil {
			return n, inner
		}
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f faultyFile) Truncate(size int64) error {
	if err := f.fault(OpTruncate, f.path); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f faultyFile) Sync() error {
	if err := f.fault(OpSync, f.path); err != nil {
		if mem, ok := f.File.(*memFile); ok {
			mem.forget()
		}
		return err
	}
	return f.File.Sync()
}

func (f faultyFile) Size() (int64, error) {
	if err := f.fault(OpSize, f.path); err != nil {
		return 0, err
	}
	return f.File.Size()
}
