package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-db/quorate/server/kv"
)

func adopts(t testing.TB, s kv.Store, at uint64, want bool) {
	t.Helper()
	if got, err := s.Adopt(at); err != nil || got != want {
		t.Fatalf("adopting %d: %v, %v", at, got, err)
	}
}

// What is staged is not seen, is adopted by its number, once, and goes when it is told to.
func TestAStagedContentIsAdopted(t *testing.T) {
	for name, s := range map[string]kv.Store{"disk": open(t, vfs.NewMem()), "memory": NewMemory()} {
		t.Run(name, func(t *testing.T) {
			if d, ok := s.(*Disk); ok {
				defer shut(t, d)
			}
			commit(t, s, "old", "a")
			for at, value := range []string{"zero", "one", "two", "three"} {
				if err := s.Stage(uint64(at), fillWith(value, 2)); err != nil {
					t.Fatal(err)
				}
			}
			broken := errors.New("broken")
			if err := s.Stage(4, func(func(k, v []byte) error) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("staged what cannot be filled: %v", err)
			}
			if got := now(t, s); got != "a=old " {
				t.Errorf("before: %q", got)
			}
			adopts(t, s, 4, false)
			adopts(t, s, 1, true)
			adopts(t, s, 1, false)
			commit(t, s, "own", "b") // what is adopted is no longer what was staged
			if got := now(t, s); got != "b=own key000=one key001=one " {
				t.Errorf("adopted: %q", got)
			}
			if err := s.Unstage(2); err != nil {
				t.Fatal(err)
			}
			adopts(t, s, 0, false)
			adopts(t, s, 2, false)
			adopts(t, s, 3, true)
		})
	}
}

// A crash at any step of Stage and Adopt leaves the old content or the new, whole; and from
// where Stage has returned, one that can be adopted until it is. Nothing is left of others.
func TestCrashDuringStageAndAdopt(t *testing.T) {
	d, c, step := crashing(t)
	if err := d.Stage(7, fillWith("new", 3)); err != nil {
		t.Fatal(err)
	}
	staged := len(c.left)
	adopts(t, d, 7, true)
	step.Off()
	shut(t, d)

	const before, after = "key000=old key001=old ", "key000=new key001=new key002=new "
	seen := map[string]int{}
	for i, fs := range c.left {
		d := open(t, fs)
		got := now(t, d)
		adopted, err := d.Adopt(7)
		if err != nil {
			t.Fatalf("crash before %s: %v", c.at[i], err)
		}
		seen[fmt.Sprint(got == after, adopted)]++
		if got != before && got != after || adopted && now(t, d) != after || i >= staged && got == before && !adopted {
			t.Errorf("crash %d of %d before %s: %q, adopted %v: %q", i, staged, c.at[i], got, adopted, now(t, d))
		}
		if err := d.Unstage(7); err != nil {
			t.Fatal(err)
		}
		commit(t, d, "next", "key000") // it goes on
		shut(t, d)
		names, err := fs.List("data")
		if err != nil || len(generations(names)) != 1 || strings.Contains(strings.Join(names, " "), "stag") {
			t.Errorf("crash before %s: left over %v, %v", c.at[i], names, err)
		}
	}
	for _, way := range []string{"false false", "false true", "true true", "true false"} {
		if seen[way] == 0 {
			t.Errorf("of %d crashes, none was (new, adopted) %s: %v", len(c.left), way, seen)
		}
	}
}
