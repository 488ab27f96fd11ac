package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-db/quorate/server/kv"
)

func open(t *testing.T, fs vfs.FS) *Disk {
	t.Helper()
	d, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return d
}

func shut(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// commit sets keys to a value in one batch.
func commit(t *testing.T, s kv.Store, value string, keys ...string) {
	t.Helper()
	b := s.Batch()
	defer b.Close()
	for _, key := range keys {
		b.Set([]byte(key), []byte(value))
	}
	if err := b.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// fillWith is for Replace: n keys with the same value.
func fillWith(value string, n int) func(func(key, value []byte) error) error {
	return func(set func(key, value []byte) error) error {
		for i := range n {
			if err := set(fmt.Appendf(nil, "key%03d", i), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}
}

// content is everything that a reader sees, as text.
func content(t *testing.T, r kv.Reader) string {
	t.Helper()
	var s string
	it := r.Iterate()
	for ok := it.Seek([]byte{0}); ok; ok = it.Next() {
		key, value := it.Pair()
		s += fmt.Sprintf("%s=%s ", key, value)
	}
	if err := it.Close(); err != nil {
		t.Fatalf("reading: %v", err)
	}
	return s
}

func now(t *testing.T, s kv.Store) string {
	t.Helper()
	v := s.View()
	defer v.Close()
	return content(t, v)
}

// TestStore holds both stores to the words of kv.Store.
func TestStore(t *testing.T) {
	stores := map[string]func() kv.Store{
		"memory": func() kv.Store { return NewMemory() },
		"disk":   func() kv.Store { return open(t, vfs.NewMem()) },
	}
	for name, make := range stores {
		t.Run(name, func(t *testing.T) {
			s := make()
			if d, ok := s.(*Disk); ok {
				defer shut(t, d)
			}
			testBatch(t, s)
			testViews(t, s)
			testReplace(t, s)
		})
	}
}

func testBatch(t *testing.T, s kv.Store) {
	b := s.Batch()
	key := []byte("a")
	b.Set(key, nil)
	key[0] = 'b' // the batch has its own copy
	b.Set(key, []byte("1"))
	b.Set([]byte("c"), []byte("1"))
	b.Delete([]byte("c"))
	if got := content(t, b); got != "a= b=1 " {
		t.Errorf("the batch reads %q", got)
	}
	if got := now(t, s); got != "" {
		t.Errorf("before the commit, readers see %q", got)
	}
	if v, err := b.Get([]byte("a")); v == nil || err != nil {
		t.Errorf("an empty value is %v, %v", v, err)
	}
	if v, err := b.Get([]byte("c")); v != nil || err != nil {
		t.Errorf("a deleted key has %q, %v", v, err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	given := s.Batch()
	given.Set([]byte("z"), []byte("never"))
	given.Close()
	if got := now(t, s); got != "a= b=1 " {
		t.Errorf("after the commit, readers see %q", got)
	}
}

func testViews(t *testing.T, s kv.Store) {
	view := s.View()
	defer view.Close()
	before := content(t, view)
	commit(t, s, "later", "a", "d")
	if got := content(t, view); got != before {
		t.Errorf("the view changed from %q to %q", before, got)
	}
	if err := s.Replace(fillWith("new", 1)); err != nil {
		t.Fatal(err)
	}
	commit(t, s, "later", "e")
	if got := content(t, view); got != before {
		t.Errorf("the view changed from %q to %q", before, got)
	}
	if got := now(t, s); got != "e=later key000=new " {
		t.Errorf("readers see %q", got)
	}
}

func testReplace(t *testing.T, s kv.Store) {
	before := now(t, s)
	broken := errors.New("broken")
	err := s.Replace(func(set func(key, value []byte) error) error {
		return errors.Join(set([]byte("half"), []byte("x")), broken)
	})
	if !errors.Is(err, broken) || now(t, s) != before {
		t.Errorf("Replace: %v, readers see %q", err, now(t, s))
	}
	if err := s.Replace(fillWith("x", 0)); err != nil || now(t, s) != "" {
		t.Errorf("Replace by nothing: %v, readers see %q", err, now(t, s))
	}
	commit(t, s, "1", "a")
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
}

func TestClosedStoreAnswers(t *testing.T) {
	d := open(t, vfs.NewMem())
	shut(t, d)
	v := d.View()
	if _, err := v.Get([]byte("a")); !errors.Is(err, ErrClosed) {
		t.Errorf("Get: %v", err)
	}
	if err := v.Iterate().Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("Iterate: %v", err)
	}
	if err := d.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
}
