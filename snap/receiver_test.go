package snap_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
)

const part = dir + "/1/00000000000000000005-00000000000000000001.part"

func receive(t testing.TB, s *snap.Store, m raft.Snapshot) *snap.Receiver {
	t.Helper()
	r, err := s.Receive(1, m)
	must(t, err)
	return r
}

// keep lets a store receive some bytes of meta(1, 5), and no more.
func keep(t testing.TB, s *snap.Store, some []byte) {
	t.Helper()
	r := receive(t, s, meta(1, 5))
	_, err := r.Write(some)
	must(t, err)
	must(t, r.Keep())
}

func prefix(b []byte) snap.Prefix { return snap.Prefix{Size: int64(len(b)), Sum: snap.Sum(0).Of(b)} }

// goOn receives what is missing of a content, of which so many bytes must be there, and
// looks whether it is all there then.
func goOn(t testing.TB, s *snap.Store, whole []byte, there int) {
	t.Helper()
	r := receive(t, s, meta(1, 5))
	if got := r.Held(); got != prefix(whole[:there]) {
		t.Fatalf("%d bytes are held, want %d and their sum", got.Size, there)
	}
	must(t, r.Begin(int64(there)))
	_, err := r.Write(whole[there:])
	must(t, err)
	must(t, r.Commit())
	must(t, r.Keep())
	if got, err := read(s, 1, id(1, 5)); err != nil || !bytes.Equal(got, whole) {
		t.Fatalf("%d bytes were received, %v", len(got), err)
	}
}

func names(t testing.TB, disk vfs.FS) []string {
	t.Helper()
	names, err := disk.List(dir + "/1")
	must(t, err)
	return names
}

// Wherever it breaks off, the next one goes on at that very byte, with the same store or
// after a restart, however often.
func TestWhatWasReceivedIsKept(t *testing.T) {
	const full = 65536
	for _, cut := range []int{1, full - 1, full, full + 1, 2 * full, 3*full - 7} {
		for _, more := range []int{0, 1, full, 100001} {
			for _, restart := range []bool{false, true} {
				mem := vfs.NewMem()
				s, whole := openStore(t, mem), content(5*full+11)
				keep(t, s, whole[:cut])
				if restart {
					s = openStore(t, mem.Crash(vfs.Kept))
				}
				r := receive(t, s, meta(1, 5))
				must(t, r.Begin(int64(cut)))
				_, err := r.Write(whole[cut : cut+more])
				must(t, err)
				must(t, r.Keep())
				goOn(t, s, whole, cut+more)
			}
		}
	}
}

// IS2: what is sent begins where what is held ends, or it begins anew.
func TestASnapshotIsReceivedWithoutAGap(t *testing.T) {
	s, whole := openStore(t, vfs.NewMem()), content(150000)
	keep(t, s, content(70001))
	for _, wrong := range []int64{-1, 1, 70000, 70002, 150000} {
		r := receive(t, s, meta(1, 5))
		if err := r.Begin(wrong); err == nil {
			t.Fatalf("it goes on at byte %d", wrong)
		}
		must(t, r.Keep())
	}
	r := receive(t, s, meta(1, 5))
	must(t, r.Begin(0))
	_, err := r.Write(whole)
	must(t, err)
	must(t, r.Commit())
	if got, err := read(s, 1, id(1, 5)); err != nil || !bytes.Equal(got, whole) {
		t.Fatalf("it was begun anew, and %d bytes were received, %v", len(got), err)
	}
}

// Whoever is told that the sender begins anew, and then nothing more, holds nothing.
func TestWhatIsBegunAnewIsForgotten(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	keep(t, s, content(70001))
	r := receive(t, s, meta(1, 5))
	must(t, r.Begin(0))
	must(t, r.Keep())
	if left := names(t, mem); len(left) > 0 {
		t.Fatalf("left: %q", left)
	}
	goOn(t, s, content(80000), 0)
}

// Of a group there is one part at most, and none that is of no use.
func TestOldPartsGo(t *testing.T) {
	for name, story := range map[string]struct {
		then func(s *snap.Store, mem *vfs.Mem)
		left string
	}{
		"another entry":  {func(s *snap.Store, _ *vfs.Mem) { must(t, receive(t, s, meta(1, 6)).Keep()) }, ""},
		"another term":   {func(s *snap.Store, _ *vfs.Mem) { must(t, receive(t, s, meta(2, 5)).Keep()) }, ""},
		"given up":       {func(s *snap.Store, _ *vfs.Mem) { must(t, receive(t, s, meta(1, 5)).Abort()) }, ""},
		"needed no more": {func(s *snap.Store, _ *vfs.Mem) { must(t, s.DropPart(1, 5)) }, ""},
		"needed still":   {func(s *snap.Store, _ *vfs.Mem) { must(t, s.DropPart(1, 4)) }, part},
		"another group":  {func(s *snap.Store, _ *vfs.Mem) { must(t, s.DropPart(2, 9)) }, part},
		"a start":        {func(_ *snap.Store, mem *vfs.Mem) { openStore(t, mem) }, part},
		"a start, and a newer one": {func(_ *snap.Store, mem *vfs.Mem) {
			overwrite(t, mem, strings.Replace(part, "5-", "6-", 1), nil)
			openStore(t, mem)
		}, strings.Replace(part, "5-", "6-", 1)},
		"a start, and a snapshot": {func(s *snap.Store, mem *vfs.Mem) {
			must(t, write(s, 1, meta(1, 5), nil))
			openStore(t, mem)
		}, strings.Replace(part, ".part", ".snap", 1)},
	} {
		mem := vfs.NewMem()
		s := openStore(t, mem)
		keep(t, s, content(70001))
		story.then(s, mem)
		if got := strings.Join(names(t, mem), " "); got != strings.TrimPrefix(story.left, dir+"/1/") {
			t.Errorf("%s: there is %q", name, got)
		}
	}
}

// A configuration that differs makes it another snapshot.
func TestAPartOfAnotherNameIsNotGoneOnWith(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	keep(t, s, content(70001))
	other := meta(1, 5)
	other.Config.Members = slices.Clone(other.Config.Members)
	other.Config.Members[0].Info = "another"
	if got := receive(t, s, other).Held(); got != prefix(nil) {
		t.Fatalf("%d bytes are held", got.Size)
	}
}

// D03: wherever a part is damaged, what is held is what was received, up to there at most;
// and what comes after it makes it whole.
func TestD03ADamagedPartIsHeldUpToTheDamage(t *testing.T) {
	mem, whole := vfs.NewMem(), content(3*65536+300)
	keep(t, openStore(t, mem), whole[:2*65536+200])
	damaged := bytesOf(t, mem, part)
	for at := 0; at < len(damaged); at += 1 + at%997 {
		disk := mem.Crash(vfs.Kept)
		data := slices.Clone(damaged)
		data[at] ^= 1 << (at % 8)
		overwrite(t, disk, part, data)
		s := openStore(t, disk)
		r := receive(t, s, meta(1, 5))
		held := r.Held()
		if held.Size > int64(at) || held != prefix(whole[:held.Size]) {
			t.Fatalf("byte %d: %d bytes are held", at, held.Size)
		}
		must(t, r.Keep())
		if at%5 == 0 || held.Size == 0 {
			goOn(t, s, whole, int(held.Size))
		}
	}
}

// The power goes out before every operation that changes the disk, while a snapshot is
// received in two attempts: each time what is held is a prefix of it, and with the rest
// it is whole.
func TestACrashLeavesAPrefixOfWhatWasReceived(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	mem, whole, images, most := vfs.NewMem(), content(3*65536+300), 0, int64(0)
	check := func(image *vfs.Mem) {
		images++
		s := openStore(t, image)
		if got, err := read(s, 1, id(1, 5)); err == nil {
			if !bytes.Equal(got, whole) {
				t.Fatalf("it reads %d bytes", len(got))
			}
			return
		}
		r := receive(t, s, meta(1, 5))
		held := r.Held()
		must(t, r.Keep())
		most = max(most, held.Size)
		goOn(t, s, whole, int(held.Size))
	}
	s := openStore(t, crashing(mem, rng, check))
	keep(t, s, whole[:100000])
	goOn(t, s, whole, 100000)
	if images < 30 || most < 100000 {
		t.Fatalf("%d crashes, of which the best left %d bytes", images, most)
	}
}

// A disk that is full while a part is taken up again, or kept, leaves nothing half.
func TestAPartOnAFullDiskGoes(t *testing.T) {
	for failing := 0; ; failing++ {
		mem, count := vfs.NewMem(), 0
		keep(t, openStore(t, mem), content(70001))
		disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
			if op == vfs.OpRemove || !op.Changes() {
				return nil
			}
			if count++; count > failing {
				return syscall.ENOSPC
			}
			return nil
		})
		s, err := snap.Open(disk, dir)
		if err != nil {
			continue
		}
		r, err := s.Receive(1, meta(1, 5))
		if err == nil {
			if _, err = r.Write(content(200000)); err != nil {
				must(t, r.Abort())
			} else if err = r.Keep(); err == nil {
				return // every operation has had its turn
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d: %v", failing, err)
		}
		if left := names(t, mem); len(left) > 0 {
			t.Fatalf("operation %d left %q", failing, left)
		}
	}
}

// FuzzReceive takes arbitrary bytes for what was kept: whatever is held of it, the rest
// makes a snapshot of the content that begins like that.
func FuzzReceive(f *testing.F) {
	mem := vfs.NewMem()
	keep(f, openStore(f, mem), []byte("some content"))
	f.Add(bytesOf(f, mem, part))
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := mem.Crash(vfs.Kept)
		overwrite(t, disk, part, data)
		s := openStore(t, disk)
		r := receive(t, s, meta(1, 5))
		held := r.Held()
		if held.Size > int64(len(data)) {
			t.Fatalf("%d bytes are held of a file of %d", held.Size, len(data))
		}
		must(t, r.Begin(held.Size))
		_, err := r.Write([]byte("rest"))
		must(t, err)
		must(t, r.Commit())
		got, err := read(s, 1, id(1, 5))
		must(t, err)
		if there, ok := bytes.CutSuffix(got, []byte("rest")); !ok || prefix(there) != held {
			t.Fatalf("%d bytes were held, and now there are %q", held.Size, got)
		}
	})
}
