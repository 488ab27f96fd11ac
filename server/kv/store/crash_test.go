package store

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// crashes takes, just before every operation that changes the disk, what a crash
// there would leave of it: only what was synced, and half of the rest.
type crashes struct {
	disk *vfs.MemFS
	mu   sync.Mutex
	rng  *rand.Rand
	left []*vfs.MemFS
	at   []string
}

func (c *crashes) String() string { return "crashes" }

func (c *crashes) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, percent := range []int{0, 50} {
		c.left = append(c.left, c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng}))
		c.at = append(c.at, fmt.Sprintf("operation %d on %s", op.Kind, op.Path))
	}
	return nil
}

// crashing is a store with some content, and what crashes leave of it once the switch is on.
func crashing(t *testing.T) (*Disk, *crashes, *errorfs.Toggle) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	d := open(t, disk)
	commit(t, d, "old", "key000", "key001")
	shut(t, d)
	c := &crashes{disk: disk, rng: rand.New(rand.NewPCG(1, 2))}
	step := &errorfs.Toggle{Injector: c}
	d = open(t, errorfs.Wrap(disk, step))
	step.On()
	return d, c, step
}

// A crash at any step of Replace leaves the old content or the new, whole, and
// nothing else in the directory.
func TestCrashDuringReplace(t *testing.T) {
	d, c, _ := crashing(t)
	if err := d.Replace(fillWith("new", 3)); err != nil {
		t.Fatal(err)
	}
	after := c.disk.CrashClone(vfs.CrashCloneCfg{})
	shut(t, d)

	seen := map[string]int{}
	for i, fs := range c.left {
		d := open(t, fs)
		got := now(t, d)
		if got != "key000=old key001=old " && got != "key000=new key001=new key002=new " {
			t.Errorf("crash before %s: %q", c.at[i], got)
		}
		seen[got]++
		commit(t, d, "next", "key000") // it goes on
		shut(t, d)
		names, err := fs.List("data")
		if err != nil || len(generations(names)) != 1 {
			t.Errorf("crash before %s: left over %v, %v", c.at[i], names, err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("of %d crashes, seen only %v", len(c.left), seen)
	}
	// Once Replace has returned, the new content is there to stay.
	d = open(t, after)
	defer shut(t, d)
	if got := now(t, d); !strings.HasPrefix(got, "key000=new ") {
		t.Errorf("after Replace: %q", got)
	}
}

func generations(names []string) (found []string) {
	for _, name := range names {
		if strings.HasPrefix(name, "db-") {
			found = append(found, name)
		}
	}
	return found
}

// A crash at any step of the first Open leaves a directory that opens.
func TestCrashDuringFirstOpen(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := &crashes{disk: disk, rng: rand.New(rand.NewPCG(3, 4))}
	shut(t, open(t, errorfs.Wrap(disk, c)))
	if len(c.left) < 10 {
		t.Fatalf("only %d crashes", len(c.left))
	}
	for i, fs := range c.left {
		d, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatalf("crash before %s: %v", c.at[i], err)
		}
		commit(t, d, "1", "a")
		shut(t, d)
	}
}

// What was synced survives; of what was not, whole batches from the first on.
func TestCrashKeepsWholeBatches(t *testing.T) {
	disk := vfs.NewCrashableMem()
	d := open(t, disk)
	commit(t, d, "1", "a", "b")
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	commit(t, d, "2", "a", "b")
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	shut(t, d)
	d = open(t, crashed)
	defer shut(t, d)
	if got := now(t, d); got != "a=1 b=1 " {
		t.Errorf("after the crash: %q", got)
	}
}

// tablesFail fails, once it is on, every write to the files that match.
func tablesFail(pattern string) *errorfs.Toggle {
	return &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		match, err := path.Match(pattern, op.Path)
		if err != nil || !match || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return err
		}
		return errorfs.ErrInjected
	})}
}

// An error of the disk while the new content is built leaves the old one in use.
func TestReplaceOnAFailingDisk(t *testing.T) {
	failing := tablesFail("data/db-000002/*.sst")
	d := open(t, errorfs.Wrap(vfs.NewMem(), failing))
	defer shut(t, d)
	commit(t, d, "old", "a")
	failing.On()
	if err := d.Replace(fillWith("new", 1)); !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("Replace: %v", err)
	}
	failing.Off()
	commit(t, d, "still", "b")
	if got := now(t, d); got != "a=old b=still " {
		t.Errorf("readers see %q", got)
	}
}

// A flush that failed is final, whatever the disk says afterwards.
func TestFailedSyncIsFinal(t *testing.T) {
	failing := tablesFail("data/db-000001/*.sst")
	d := open(t, errorfs.Wrap(vfs.NewMem(), failing))
	commit(t, d, "1", "a")
	failing.On()
	if err := d.Sync(); err == nil {
		t.Error("Sync on a failing disk succeeded")
	}
	failing.Off()
	if err := d.Sync(); err == nil {
		t.Error("Sync after a failed one succeeded")
	}
	b := d.Batch()
	b.Set([]byte("a"), []byte("2"))
	if err := b.Commit(); err == nil || !strings.Contains(err.Error(), "disk failed") {
		t.Errorf("Commit after a failed Sync: %v", err)
	}
	b.Close()
	if err := d.Close(); err == nil {
		t.Error("Close after a failed Sync says nothing")
	}
}

func TestOpenRefuses(t *testing.T) {
	cases := []struct {
		name, current, want string
	}{
		{"an earlier version", "quorate kv store 1 db-000001\n", "version 1, but this program knows only version 3"},
		{"another file", "MANIFEST-000001\n", "not the pointer file"},
		{"an empty file", "", "not the pointer file"},
		{"a torn file", "quorate kv store 3 db-00", "damaged"},
		{"a missing content", "quorate kv store 3 db-000007\n", "db-000007"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			d := open(t, fs)
			commit(t, d, "1", "a")
			shut(t, d)
			write(t, fs, c.current)
			if _, err := Open("data", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Open: %v, want %q", err, c.want)
			}
			// The refusal has removed nothing that could still be needed.
			if c.name != "a missing content" {
				write(t, fs, "quorate kv store 3 db-000001\n")
				d = open(t, fs)
				defer shut(t, d)
				if got := now(t, d); got != "a=1 " {
					t.Errorf("afterwards %q", got)
				}
			}
		})
	}
}

func TestOpenRefusesContentWithoutPointer(t *testing.T) {
	fs := vfs.NewMem()
	shut(t, open(t, fs))
	if err := fs.Remove("data/" + currentFile); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("data", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "no CURRENT file") {
		t.Errorf("Open: %v", err)
	}
}

func write(t *testing.T, fs vfs.FS, text string) {
	t.Helper()
	f, err := fs.Create("data/"+currentFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
