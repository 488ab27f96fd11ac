package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-db/quorate/server/kv"
)

// openSmall opens a store that keeps a few pairs only in memory, so that most are
// forgotten and learnt again.
func openSmall(t *testing.T) *Disk {
	t.Helper()
	d, err := Open("data", Options{FS: vfs.NewMem(), HotBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whatever is kept in memory, every view and the batch read what a walk through Pebble
// finds for them.
func TestMemoryAgreesWithPebble(t *testing.T) {
	d := openSmall(t)
	defer shut(t, d)
	random := rand.New(rand.NewPCG(1, 2))
	key := func() []byte { return fmt.Appendf(nil, "key%03d", random.IntN(200)) }
	once := func(i int) []byte { return fmt.Appendf(nil, "\x03%04d", i) }
	set := 0
	var views []kv.View
	for range 500 {
		b, before := d.Batch(), set
		for range random.IntN(8) {
			switch random.IntN(6) {
			case 5:
				b.Set(once(set), []byte("once"))
				set++
				b.Delete(once(random.IntN(set)))
				agree(t, b, once(random.IntN(set)))
			case 0:
				b.Delete(key())
			case 1:
				b.Set(key(), make([]byte, 400)) // too large to be kept
			default:
				b.Set(key(), fmt.Append(nil, random.Uint64()))
			}
			agree(t, b, key())
		}
		if random.IntN(10) > 0 {
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		} else {
			set = before // nobody has seen them
		}
		b.Close()
		views = append(views, d.View())
		for range 10 {
			agree(t, views[random.IntN(len(views))], key())
			agree(t, views[random.IntN(len(views))], once(random.IntN(set+1)))
		}
		if len(views) > 20 {
			i := random.IntN(len(views))
			views[i].Close()
			views = append(views[:i], views[i+1:]...)
		}
	}
	for _, v := range views {
		v.Close()
	}
}

// agree compares the two ways to a key.
func agree(t *testing.T, r kv.Reader, key []byte) {
	t.Helper()
	got, err := r.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	it := r.Iterate()
	defer it.Close()
	var want []byte
	if it.Seek(key) {
		if found, value := it.Pair(); string(found) == string(key) {
			want = append([]byte{}, value...)
		}
	}
	if string(got) != string(want) || (got == nil) != (want == nil) {
		t.Fatalf("%s is %q in memory, and %q in Pebble", key, got, want)
	}
}

// A batch that nobody has walked over reads its own changes.
func TestBatchReadsWhatItChanged(t *testing.T) {
	d := openSmall(t)
	defer shut(t, d)
	commit(t, d, "old", "a", "b", "c")
	walked := []byte{4, 'x'} // is not kept in memory
	b := d.Batch()
	defer b.Close()
	b.Set([]byte("a"), []byte("new"))
	b.Delete([]byte("b"))
	b.Set(walked, []byte("new"))
	for key, want := range map[string]string{"a": "new", "b": "", "c": "old", string(walked): "new"} {
		if got, err := b.Get([]byte(key)); err != nil || string(got) != want {
			t.Errorf("%q is %q, %v, want %q", key, got, err, want)
		}
	}
	b.Set([]byte("d"), nil) // after the index was made
	agree(t, b, []byte("d"))
}

// A view that is taken while a batch is being committed sees all of it or nothing, and
// one that is taken later nothing older.
func TestViewsDuringCommits(t *testing.T) {
	const keys, batches = 20, 300
	d := openSmall(t)
	defer shut(t, d)
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("key%03d", i)
	}
	commit(t, d, fmt.Sprintf("%06d", 0), names...)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := ""; ; {
				select {
				case <-done:
					return
				default:
				}
				v := d.View()
				first, _ := v.Get([]byte(names[0]))
				for _, name := range names {
					if got, err := v.Get([]byte(name)); err != nil || string(got) != string(first) {
						t.Errorf("%s is %q, %v, and the first is %q", name, got, err, first)
					}
				}
				v.Close()
				if string(first) < last {
					t.Errorf("%q after %q", first, last)
				}
				last = string(first)
			}
		})
	}
	for n := range batches {
		commit(t, d, fmt.Sprintf("%06d", n+1), names...)
		v := d.View()
		if got, _ := v.Get([]byte(names[keys-1])); string(got) != fmt.Sprintf("%06d", n+1) {
			t.Errorf("after batch %d: %q", n+1, got)
		}
		v.Close()
	}
	close(done)
	readers.Wait()
}

func TestMemoryIsBounded(t *testing.T) {
	h := newHot(64 << 10)
	for i := range 10_000 {
		h.begin()
		h.end(map[string][]byte{fmt.Sprint(i): make([]byte, i%900)})
		held := 0
		for _, all := range []map[string]hotPair{h.young, h.old} {
			for key, p := range all {
				held += p.size(key)
			}
		}
		if held > h.most+h.most/64 {
			t.Fatalf("%d bytes are held, %d are allowed", held, h.most)
		}
	}
	if _, known := h.get([]byte("9999"), h.now()); !known {
		t.Error("what was written last is not there")
	}
}
