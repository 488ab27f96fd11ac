package vfs

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// watched is a descriptor whose writes wait: it counts them, or fails.
type watched struct {
	writerCloser
	writes int
	err    error
}

func (w *watched) WriteAt(p []byte, at int64) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.writes++
	return w.writerCloser.WriteAt(p, at)
}

// written is a file of 8 synced bytes in mode O_DSYNC.
func written(t *testing.T) (*waiting, *watched) {
	t.Helper()
	opened, err := OS{Mode: DSync}.Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	f := opened.(*waiting)
	t.Cleanup(func() { _ = f.Close() })
	write8(t, f, 0)
	settle(t, f)
	if !f.reopened() {
		t.Skip("there is no /proc")
	}
	w := &watched{writerCloser: f.durable}
	f.durable = w
	return f, w
}

func write8(t *testing.T, f File, at int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte("12345678"), at); n != 8 || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
}

func settle(t *testing.T, f File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestAWriteOverWhatIsThereWaitsItself(t *testing.T) {
	f, w := written(t)
	write8(t, f, 0)
	if w.writes != 1 || f.unsynced {
		t.Fatalf("%d of 1 writes waited; left to Sync: %t", w.writes, f.unsynced)
	}
}

func TestWhatElseIsChangedIsLeftToSync(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *waiting){
		"a longer file":  func(t *testing.T, f *waiting) { write8(t, f, 1) },
		"a gap":          func(t *testing.T, f *waiting) { write8(t, f, 100) },
		"a shorter file": func(t *testing.T, f *waiting) { must(t, f.Truncate(7)) },
		"zeros":          func(t *testing.T, f *waiting) { must(t, f.Truncate(4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			f, w := written(t)
			change(t, f)
			if !f.unsynced || w.writes > 0 {
				t.Fatalf("Sync knows: %t; %d writes waited", f.unsynced, w.writes)
			}
			// Sync comes all the same: it takes this one along.
			write8(t, f, 0)
			if w.writes > 0 {
				t.Fatal("a write waited before a Sync that had to come")
			}
			settle(t, f)
			size, err := f.Size()
			must(t, err)
			write8(t, f, size-8)
			if w.writes != 1 || f.unsynced {
				t.Fatalf("after Sync %d of 1 writes waited; left to Sync: %t", w.writes, f.unsynced)
			}
		})
	}
}

// What another process has written may be only in the kernel's memory.
func TestTheFirstSyncOfAFileIsARealOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	before, err := OS{}.Create(path)
	must(t, err)
	write8(t, before, 0)
	must(t, before.Close())
	f, err := OS{Mode: DSync}.Open(path)
	must(t, err)
	defer f.Close()
	if !f.(*waiting).unsynced {
		t.Fatal("a file that was opened counts as durable")
	}
}

func TestAWriteThatFailedOnItsWayToTheDiskIsAnError(t *testing.T) {
	f, w := written(t)
	w.err = syscall.EIO
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EIO) || !f.unsynced {
		t.Fatalf("%v; left to Sync: %t", err, f.unsynced)
	}
}

// It cannot be told whether the write or the sync in it found no room: the plain
// descriptor says so, of the write at once, and of the sync at Sync.
func TestAWriteThatFoundNoRoomIsMadeAgainWithoutWaiting(t *testing.T) {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		f, w := written(t)
		w.err = full
		if n, err := f.WriteAt([]byte("x"), 0); n != 1 || err != nil || !f.unsynced {
			t.Fatalf("%d bytes, %v; left to Sync: %t", n, err, f.unsynced)
		}
		settle(t, f)
		if f.unsynced {
			t.Fatal("Sync has left something")
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
