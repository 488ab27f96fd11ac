package vfs_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate/vfs"
)

// onDisk returns a disk with the file /f, durable, holding "old".
func onDisk(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	f := create(t, mem, "/f", "old")
	must(t, f.Sync())
	must(t, f.Close())
	must(t, mem.SyncDir("/"))
	return mem
}

func names(t *testing.T, disk vfs.FS) []string {
	t.Helper()
	names, err := disk.List("/")
	must(t, err)
	return names
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	mem := onDisk(t)
	f, err := mem.Open("/f")
	must(t, err)
	_, err = f.WriteAt([]byte("new"), 0)
	must(t, err)
	must(t, f.Truncate(2))
	if got := content(t, mem.Crash(vfs.Lost), "/f"); got != "old" {
		t.Fatalf("all lost: %q", got)
	}
	if got := content(t, mem.Crash(vfs.Kept), "/f"); got != "ne" {
		t.Fatalf("all kept: %q", got)
	}
	torn := func(size int) int { return size / 2 }
	if got := content(t, mem.Crash(torn), "/f"); got != "nld" {
		t.Fatalf("a write torn after its first byte, the truncation lost: %q", got)
	}
	must(t, f.Sync())
	if got := content(t, mem.Crash(vfs.Lost), "/f"); got != "ne" {
		t.Fatalf("synced, and yet: %q", got)
	}
}

func TestD08CrashLosesNamesThatWereNotSynced(t *testing.T) {
	mem := onDisk(t)
	g := create(t, mem, "/g", "new")
	must(t, g.Sync())
	if got := names(t, mem.Crash(vfs.Lost)); !slices.Equal(got, []string{"f"}) {
		t.Fatalf("a synced file without a synced name: %q", got)
	}
	must(t, mem.Rename("/g", "/f"))
	if got := content(t, mem.Crash(vfs.Lost), "/f"); got != "old" {
		t.Fatalf("rename lost: %q", got)
	}
	kept := mem.Crash(vfs.Kept)
	if got := content(t, kept, "/f"); got != "new" || len(names(t, kept)) != 1 {
		t.Fatalf("rename kept: %q in %q", got, names(t, kept))
	}
	must(t, mem.SyncDir("/"))
	must(t, mem.Remove("/f"))
	if got := content(t, mem.Crash(vfs.Lost), "/f"); got != "new" {
		t.Fatalf("removal lost: %q", got)
	}
	must(t, mem.SyncDir("/"))
	if got := names(t, mem.Crash(vfs.Lost)); len(got) != 0 {
		t.Fatalf("removal synced: %q", got)
	}
}

// A directory's changes survive in order: one that is lost takes the later along.
func TestCrashKeepsNamesInOrder(t *testing.T) {
	mem := vfs.NewMem()
	for _, path := range []string{"/a", "/b", "/c"} {
		must(t, create(t, mem, path, "").Close())
	}
	first := true
	onlyFirst := func(int) int {
		if first {
			first = false
			return 1
		}
		return 0
	}
	if got := names(t, mem.Crash(onlyFirst)); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("names = %q, want just a", got)
	}
}

func TestCrashLeavesTheOldWorldAlone(t *testing.T) {
	mem := onDisk(t)
	lock, err := mem.Lock("/")
	must(t, err)
	after := mem.Crash(vfs.Kept)
	f, err := after.Open("/f")
	must(t, err)
	_, err = f.WriteAt([]byte("xyz"), 0)
	must(t, err)
	if got := content(t, mem, "/f"); got != "old" {
		t.Fatalf("a write after the crash changed the world before it: %q", got)
	}
	if _, err := after.Lock("/"); err != nil {
		t.Fatalf("the lock outlived its process: %v", err)
	}
	must(t, lock.Close())
}

func TestCrashIsDeterministic(t *testing.T) {
	mem := vfs.NewMem()
	for _, path := range []string{"/a", "/b", "/c", "/d"} {
		must(t, create(t, mem, path, "0123456789").Close())
	}
	must(t, mem.SyncDir("/"))
	run := func() string {
		rng := rand.New(rand.NewPCG(1, 2))
		return mem.Crash(func(size int) int { return rng.IntN(size + 1) }).String()
	}
	first := run()
	for range 10 {
		if again := run(); again != first {
			t.Fatalf("the same seed left\n%s and then\n%s", first, again)
		}
	}
}

func TestInjectedFaultsFailAsBadlyAsTheyMay(t *testing.T) {
	mem := onDisk(t)
	var fail vfs.Op
	disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
		if op == fail {
			return syscall.ENOSPC
		}
		return nil
	})
	f, err := disk.Open("/f")
	must(t, err)

	fail = vfs.OpWrite
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("failed write: %d bytes, %v", n, err)
	}
	if got := content(t, mem, "/f"); got != "abd" {
		t.Fatalf("a failed write left %q, want its first half", got)
	}

	fail = vfs.OpSync
	if err := f.Sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("failed sync: %v", err)
	}
	fail = 0
	must(t, f.Sync())
	if got := content(t, mem, "/f"); got != "abd" {
		t.Fatalf("after a failed sync the bytes read as %q", got)
	}
	if got := content(t, mem.Crash(vfs.Kept), "/f"); got != "old" {
		t.Fatalf("a second sync repaired the first: %q", got)
	}
}

func TestEveryOperationCanFail(t *testing.T) {
	fail := true
	disk := vfs.Inject(onDisk(t), func(op vfs.Op, path string) error {
		if fail {
			return syscall.EIO
		}
		return nil
	})
	fail = false
	f, err := disk.Open("/f")
	must(t, err)
	fail = true
	_, create := disk.Create("/f")
	_, open := disk.Open("/f")
	_, list := disk.List("/")
	_, lock := disk.Lock("/")
	_, read := f.ReadAt(nil, 0)
	_, size := f.Size()
	_, _, space := disk.Space("/")
	for what, err := range map[string]error{
		"create": create, "open": open, "list": list, "lock": lock, "read": read, "size": size, "space": space,
		"rename": disk.Rename("/f", "/g"), "remove": disk.Remove("/f"), "mkdir": disk.MakeDir("/d"),
		"syncdir": disk.SyncDir("/"), "truncate": f.Truncate(0), "sync": f.Sync(),
	} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", what, err)
		}
	}
	fail = false
	if got := content(t, disk, "/f"); got != "old" {
		t.Fatalf("operations that failed changed the file to %q", got)
	}
}

// A disk and what a crash left of it have the bytes of a file in common until one of
// them changes it, which nobody may notice.
func TestACrashAndItsPastShareNothing(t *testing.T) {
	write := func(m *vfs.Mem, text string, sync bool) {
		t.Helper()
		f, err := m.Open("a")
		if err != nil {
			f, err = m.Create("a")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if sync {
			err = errors.Join(f.Sync(), m.SyncDir("."))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(m *vfs.Mem) string {
		t.Helper()
		f, err := m.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		data := make([]byte, 3)
		if _, err := f.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before := vfs.NewMem()
	write(before, "old", true)
	after := before.Crash(vfs.Lost)
	write(before, "yes", true)
	twin := after.Crash(vfs.Lost)
	write(after, "new", false)
	lost, kept := after.Crash(vfs.Lost), after.Crash(vfs.Kept)
	write(kept, "end", true)
	for m, want := range map[*vfs.Mem]string{before: "yes", twin: "old", after: "new", lost: "old", kept: "end"} { //order: each for itself
		if got := read(m); got != want {
			t.Errorf("a file has %q, want %q", got, want)
		}
	}
}

// A disk that is full takes what it has room for, can still be written in place, and has
// room again for what is removed; a crash changes nothing about that.
func TestAFullDiskHasNoRoom(t *testing.T) {
	mem := onDisk(t)
	f, err := mem.Open("/f")
	must(t, err)
	mem.SetCapacity(mem.Used() + 2)
	if n, err := f.WriteAt([]byte("bcde"), 2); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%d bytes were written, %v", n, err)
	}
	if err := f.Truncate(6); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a file grew: %v", err)
	}
	_, err = f.WriteAt([]byte("OL"), 0)
	must(t, err)
	if got := content(t, mem, "/f"); got != "OLbcd" {
		t.Fatalf("the file holds %q", got)
	}
	must(t, f.Sync())
	mem = mem.Crash(vfs.Lost)
	if free, total, err := mem.Space("/"); free != 0 || total != 5 || err != nil {
		t.Fatalf("%d of %d bytes are free, %v", free, total, err)
	}
	must(t, mem.Remove("/f"))
	if free, _, _ := mem.Space("/"); free != 5 {
		t.Fatalf("%d bytes are free", free)
	}
}
