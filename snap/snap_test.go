package snap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
)

const dir = "/snap"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func id(term raft.Term, index raft.Index) raft.EntryID { return raft.EntryID{Term: term, Index: index} }

func meta(term raft.Term, index raft.Index) raft.Snapshot {
	return raft.Snapshot{ID: id(term, index), Config: membership.New(
		membership.Member{ID: 1, Role: membership.Voter, Address: "127.0.0.1:2380", Info: "one"},
		membership.Member{ID: 2, Role: membership.Learner, Address: "127.0.0.1:2390"},
	)}
}

// content is size bytes that do not repeat.
func content(size int) []byte {
	b := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(size), 0))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func openStore(t testing.TB, disk vfs.FS) *snap.Store {
	t.Helper()
	s, err := snap.Open(disk, dir)
	must(t, err)
	return s
}

func write(s *snap.Store, g raft.GroupID, meta raft.Snapshot, content []byte) error {
	w, err := s.Create(g, meta)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit()
}

func read(s *snap.Store, g raft.GroupID, id raft.EntryID) ([]byte, error) {
	r, err := s.Open(g, id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// bytesOf returns a file as it is on the disk.
func bytesOf(t testing.TB, disk vfs.FS, path string) []byte {
	t.Helper()
	f, err := disk.Open(path)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	must(t, f.Close())
	return b
}

func overwrite(t testing.TB, disk vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := disk.Create(path)
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, f.Close())
}

func TestASnapshotIsReadAsItWasWritten(t *testing.T) {
	for _, size := range []int{0, 1, 65535, 65536, 65537, 3 * 65536, 200000} {
		mem := vfs.NewMem()
		s, want := openStore(t, mem), content(size)
		must(t, write(s, 7, meta(3, 12), want))
		s = openStore(t, mem.Crash(vfs.Lost))
		r, err := s.Open(7, id(3, 12))
		must(t, err)
		if r.Size() != int64(size) || !reflect.DeepEqual(r.Meta(), meta(3, 12)) {
			t.Fatalf("%d bytes of %+v", r.Size(), r.Meta())
		}
		must(t, iotest.TestReader(r, want))
		must(t, r.Close())
	}
}

func TestTheRealFileSystemKeepsItToo(t *testing.T) {
	where := filepath.Join(t.TempDir(), "a", "b")
	s, err := snap.Open(vfs.OS{}, where)
	must(t, err)
	must(t, write(s, 1, meta(1, 5), content(100000)))
	must(t, write(s, 1, meta(1, 9), content(70000)))
	must(t, s.KeepOnly(1, id(1, 9)))
	s, err = snap.Open(vfs.OS{}, where)
	must(t, err)
	got, err := read(s, 1, id(1, 9))
	must(t, err)
	if !bytes.Equal(got, content(70000)) {
		t.Fatal("it reads differently")
	}
	if ids, err := s.List(1); err != nil || len(ids) != 1 {
		t.Fatalf("listed %v, %v", ids, err)
	}
}

func TestGroupsHaveTheirOwnSnapshotsInOrder(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	if _, found, err := s.Latest(1); found || err != nil {
		t.Fatalf("an empty store has a latest snapshot, or %v", err)
	}
	for _, m := range []raft.Snapshot{meta(2, 30), meta(1, 4), meta(9, 20)} {
		must(t, write(s, 1, m, nil))
	}
	must(t, write(s, 2, meta(1, 99), nil))

	ids, err := s.List(1)
	must(t, err)
	if want := []raft.EntryID{id(1, 4), id(9, 20), id(2, 30)}; !slices.Equal(ids, want) {
		t.Fatalf("listed %v, want %v", ids, want)
	}
	latest, found, err := s.Latest(1)
	must(t, err)
	if !found || !reflect.DeepEqual(latest, meta(2, 30)) {
		t.Fatalf("latest is %+v, %v", latest, found)
	}
	must(t, s.Remove(1, id(9, 20)))
	must(t, s.Remove(1, id(9, 20)))
	must(t, s.KeepOnly(1, id(1, 4)))
	if ids, err := s.List(1); err != nil || !slices.Equal(ids, []raft.EntryID{id(1, 4)}) {
		t.Fatalf("left are %v, %v", ids, err)
	}
	if ids, err := s.List(2); err != nil || len(ids) != 1 {
		t.Fatalf("group 2 has %v, %v", ids, err)
	}
	if _, err := s.Open(1, id(9, 20)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("opening a removed one: %v", err)
	}
}

// D03: wherever it is.
func TestD03EveryFlippedByteIsNoticed(t *testing.T) {
	mem := vfs.NewMem()
	want := content(65536 + 300)
	must(t, write(openStore(t, mem), 1, meta(1, 5), want))
	path := dir + "/1/00000000000000000005-00000000000000000001.snap"
	whole := bytesOf(t, mem, path)
	for at := range whole {
		if at > 500 && at < 65500 && at%997 != 0 {
			continue // the inside of the first chunk, in samples
		}
		disk := mem.Crash(vfs.Lost)
		data := slices.Clone(whole)
		data[at] ^= 1 << (at % 8)
		overwrite(t, disk, path, data)
		got, err := read(openStore(t, disk), 1, id(1, 5))
		var damage *snap.DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if damage.Path != path || !strings.Contains(err.Error(), path) || damage.Offset > int64(at) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if !bytes.HasPrefix(want, got) {
			t.Fatalf("byte %d: wrong bytes were given away before the error", at)
		}
	}
}

func TestATruncatedOrLongerFileIsNoticed(t *testing.T) {
	mem := vfs.NewMem()
	must(t, write(openStore(t, mem), 1, meta(1, 5), content(500)))
	path := dir + "/1/00000000000000000005-00000000000000000001.snap"
	whole := bytesOf(t, mem, path)
	for size := range len(whole) + 50 {
		if size == len(whole) {
			continue
		}
		disk := mem.Crash(vfs.Lost)
		overwrite(t, disk, path, append(slices.Clone(whole), make([]byte, 50)...)[:size])
		if _, err := openStore(t, disk).Open(1, id(1, 5)); !errors.As(err, new(*snap.DamageError)) {
			t.Fatalf("%d of %d bytes: %v", size, len(whole), err)
		}
	}
}

func TestChunksOfAnotherSnapshotAreNoticed(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	must(t, write(s, 1, meta(1, 5), content(65536*2)))
	must(t, write(s, 1, meta(1, 6), append(content(65536), make([]byte, 65536)...)))
	one, two := dir+"/1/00000000000000000005-00000000000000000001.snap", dir+"/1/00000000000000000006-00000000000000000001.snap"
	a, b := bytesOf(t, mem, one), bytesOf(t, mem, two)
	// The second chunk and its checksum come from the other file, at the same place.
	const footer, chunk = 20, 8 + 65536
	copy(a[len(a)-footer-chunk:len(a)-footer], b[len(b)-footer-chunk:])
	overwrite(t, mem, one, a)
	if _, err := read(s, 1, id(1, 5)); !errors.As(err, new(*snap.DamageError)) {
		t.Fatalf("a chunk of another snapshot: %v", err)
	}
	// A whole file under another's name.
	overwrite(t, mem, one, b)
	if _, err := s.Open(1, id(1, 5)); !errors.As(err, new(*snap.DamageError)) {
		t.Fatalf("another snapshot under this name: %v", err)
	}
}

// The power goes out before every operation that changes the disk, while a
// second snapshot replaces the first and a third one comes.
func TestS07ACrashLeavesTheOldOrTheNew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	mem, images := vfs.NewMem(), 0
	first, second, third := content(1000), content(70000), content(140000)
	must(t, write(openStore(t, mem), 1, meta(1, 5), first))
	committed := 0 // of the second and third
	check := func(image *vfs.Mem) {
		images++
		s := openStore(t, image)
		got, err := read(s, 1, id(1, 5))
		must(t, err)
		if old := bytes.Equal(got, first); old && committed >= 1 || !old && !bytes.Equal(got, second) {
			t.Fatalf("%d committed, and the first name reads %d bytes", committed, len(got))
		}
		got, err = read(s, 1, id(1, 8))
		if gone := errors.Is(err, fs.ErrNotExist); gone && committed >= 2 || !gone && !bytes.Equal(got, third) {
			t.Fatalf("%d committed, and the second name reads %d bytes, %v", committed, len(got), err)
		}
		names, err := image.List(dir + "/1")
		must(t, err)
		for _, name := range names {
			if !strings.HasSuffix(name, ".snap") {
				t.Fatalf("%s was left", name)
			}
		}
	}
	s := openStore(t, crashing(mem, rng, check))
	must(t, write(s, 1, meta(1, 5), second))
	committed++
	must(t, write(s, 1, meta(1, 8), third))
	committed++
	check(mem.Crash(vfs.Lost))
	if images < 50 {
		t.Fatalf("only %d crashes", images)
	}
}

// crashing is the disk, on which a check is given what a crash before each change leaves.
func crashing(mem *vfs.Mem, rng *rand.Rand, check func(image *vfs.Mem)) vfs.FS {
	return vfs.Inject(mem, func(op vfs.Op, path string) error {
		if op.Changes() {
			check(mem.Crash(vfs.Lost))
			check(mem.Crash(vfs.Kept))
			check(mem.Crash(func(size int) int { return rng.IntN(size + 1) }))
		}
		return nil
	})
}

func TestAFullDiskLeavesNothingHalf(t *testing.T) {
	for failing := 0; ; failing++ {
		mem, count := vfs.NewMem(), 0
		must(t, write(openStore(t, mem), 1, meta(1, 5), content(10)))
		disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
			if op == vfs.OpRemove || !op.Changes() {
				return nil // a full disk still lets go
			}
			if count++; count > failing {
				return syscall.ENOSPC
			}
			return nil
		})
		s, err := snap.Open(disk, dir)
		if err == nil {
			err = write(s, 1, meta(1, 8), content(200000))
		}
		if err == nil {
			return // every operation has had its turn
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d: %v", failing, err)
		}
		names, err := mem.List(dir + "/1")
		must(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, ".tmp") {
				t.Fatalf("operation %d left %q", failing, names)
			}
		}
		if got, err := read(openStore(t, mem), 1, id(1, 5)); err != nil || !bytes.Equal(got, content(10)) {
			t.Fatalf("operation %d: the older snapshot reads %d bytes, %v", failing, len(got), err)
		}
	}
}

// A name that is not known to be durable is nothing to rely on: a crash may take it back.
func TestASnapshotWhoseNameWasNotSyncedDoesNotCount(t *testing.T) {
	mem, broken := vfs.NewMem(), false
	s := openStore(t, vfs.Inject(mem, func(op vfs.Op, path string) error {
		if broken && op == vfs.OpSyncDir {
			return syscall.EIO
		}
		return nil
	}))
	first, second := content(1000), content(70000)
	must(t, write(s, 1, meta(1, 5), first))
	broken = true
	for _, next := range []raft.Snapshot{meta(1, 8), meta(1, 5)} { // beside it, and in its place
		if err := write(s, 1, next, second); !errors.Is(err, syscall.EIO) {
			t.Fatalf("a snapshot counts although its directory was not synced: %v", err)
		}
	}
	lost := openStore(t, mem.Crash(vfs.Lost))
	if got, err := read(lost, 1, id(1, 5)); err != nil || !bytes.Equal(got, first) {
		t.Fatalf("the snapshot before reads %d bytes after a crash, %v", len(got), err)
	}
	if _, err := read(lost, 1, id(1, 8)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a crash was to take the name back: %v", err)
	}
	// The next attempt is another file, whose name is synced.
	broken = false
	must(t, write(s, 1, meta(1, 8), second))
	if got, err := read(openStore(t, mem.Crash(vfs.Lost)), 1, id(1, 8)); err != nil || !bytes.Equal(got, second) {
		t.Fatalf("the next attempt reads %d bytes after a crash, %v", len(got), err)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	w, err := s.Create(1, meta(1, 5))
	must(t, err)
	_, err = w.Write(content(100000))
	must(t, err)
	must(t, w.Abort())
	must(t, w.Abort())
	if w.Commit() == nil {
		t.Fatal("an aborted snapshot was committed")
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Fatal("an aborted snapshot was written")
	}
	if names, err := mem.List(dir + "/1"); err != nil || len(names) != 0 {
		t.Fatalf("left: %q, %v", names, err)
	}
	w, err = s.Create(1, meta(1, 5))
	must(t, err)
	must(t, w.Commit())
	must(t, w.Abort())
	if _, err := read(s, 1, id(1, 5)); err != nil {
		t.Fatalf("Abort after Commit: %v", err)
	}
}

func TestTwoWritersOfOneNameDoNotMeet(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	a, err := s.Create(1, meta(1, 5))
	must(t, err)
	b, err := s.Create(1, meta(1, 5))
	must(t, err)
	_, err = a.Write([]byte("from a"))
	must(t, err)
	_, err = b.Write([]byte("from b, longer"))
	must(t, err)
	must(t, b.Commit())
	must(t, a.Commit())
	if got, err := read(s, 1, id(1, 5)); err != nil || string(got) != "from a" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestASnapshotOfNothingIsRefused(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	for _, m := range []raft.Snapshot{{}, {ID: id(1, 5)}, {ID: id(0, 5), Config: meta(1, 1).Config}} {
		if _, err := s.Create(1, m); err == nil {
			t.Fatalf("%+v was accepted", m)
		}
	}
}

// D15: names that are not the store's.
func TestD15UnknownFilesAreRefused(t *testing.T) {
	for _, name := range []string{"/lost+found", "/1/lost+found", "/x", "/01", "/1/a.snap", "/1/5-1.snap", "/1/5-1.1.tmp", "/1/.tmp", "/1/00000000000000000005-00000000000000000001.snap.1"} {
		mem := vfs.NewMem()
		must(t, mem.MakeDir(dir+"/1"))
		overwrite(t, mem, dir+name, nil)
		if _, err := snap.Open(mem, dir); err == nil || !strings.Contains(err.Error(), dir+name) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// FuzzOpen reads arbitrary bytes as a snapshot: an error, or all of it, and never
// more memory than there are bytes.
func FuzzOpen(f *testing.F) {
	mem := vfs.NewMem()
	must(f, write(openStore(f, mem), 1, meta(1, 5), []byte("some content")))
	path := dir + "/1/00000000000000000005-00000000000000000001.snap"
	f.Add(bytesOf(f, mem, path))
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := mem.Crash(vfs.Lost)
		overwrite(t, disk, path, data)
		s := openStore(t, disk)
		r, err := s.Open(1, id(1, 5))
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		if err == nil && int64(len(got)) != r.Size() {
			t.Fatalf("%d of %d bytes were read", len(got), r.Size())
		}
	})
}

func TestAnotherFormatVersionIsNotDamage(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	must(t, write(s, 1, meta(1, 5), content(10)))
	path := dir + "/1/00000000000000000005-00000000000000000001.snap"
	data := bytesOf(t, mem, path)
	as := func(version byte) error {
		data[8] = version
		end := 24 + int(binary.LittleEndian.Uint32(data[12:]))
		sum := crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli))
		binary.LittleEndian.PutUint32(data[end:], sum)
		overwrite(t, mem, path, data)
		r, err := s.Open(1, id(1, 5))
		if err == nil {
			must(t, r.Close())
		}
		return err
	}
	must(t, as(1)) // which is read
	err := as(3)
	if err == nil || errors.As(err, new(*snap.DamageError)) || !strings.Contains(err.Error(), "format version 3") {
		t.Fatal(err)
	}
}
