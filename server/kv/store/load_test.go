package store

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What needs several tables is there whole, on the lowest level, and nothing is left of
// how it came there.
func TestReplaceByManyTables(t *testing.T) {
	fs := vfs.NewMem()
	d := open(t, fs)
	commit(t, d, "old", "z")
	value := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(value) // it always does; and what it reads cannot be compressed
	const pairs = 3 * tableBytes / (1 << 20)
	fill := fillWith(string(value), pairs)
	if err := d.Replace(fill); err != nil {
		t.Fatal(err)
	}
	shut(t, d)
	d = open(t, fs)
	defer shut(t, d)
	v := d.View()
	defer v.Close()
	it, n := v.Iterate(), 0
	for ok := it.Seek(nil); ok; ok = it.Next() {
		if _, got := it.Pair(); !bytes.Equal(got, value) {
			t.Fatalf("pair %d has %d bytes", n, len(got))
		}
		n++
	}
	if err := it.Close(); err != nil || n != pairs {
		t.Errorf("%d pairs of %d, %v", n, pairs, err)
	}
	if m := d.now.db.Metrics(); m.Levels[lowestLevel].TablesCount < 2 || m.Levels[0].TablesCount > 0 {
		t.Errorf("%d tables on the lowest level, %d on the highest", m.Levels[lowestLevel].TablesCount, m.Levels[0].TablesCount)
	}
	names, err := fs.List(d.home.path(generationName(d.now.number)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "load-") {
			t.Errorf("%s is left", name)
		}
	}
}
