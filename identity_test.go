package quorate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/vfs"
)

// A node that took another's name because one digit changed would vote twice.
func TestAChangedDigitMakesNoOtherNode(t *testing.T) {
	const want = "quorate data 3\ncluster 0123456789abcdef\nnode 0123456789abcdef\nincarnation 0123456789abcdef\ncrc32c 516ce1ee\n"
	if got := (identity{0x0123456789abcdef, 0x0123456789abcdef}).text(0x0123456789abcdef); got != want {
		t.Fatalf("the file says\n%s, the package comment\n%s", got, want)
	}
	for at := range want {
		for bit := range 8 {
			text := []byte(want)
			text[at] ^= 1 << bit
			disk := vfs.NewMem()
			if err := disk.MakeDir("d"); err != nil {
				t.Fatal(err)
			}
			if err := writeFile(disk, "d", "d/node", text); err != nil {
				t.Fatal(err)
			}
			is, err := identify(&Config{Dir: "d", FS: disk, Cluster: 0x0123456789abcdef})
			if err == nil || !strings.Contains(err.Error(), "d/node") {
				t.Fatalf("byte %d, bit %d: %x, %v", at, bit, is, err)
			}
		}
	}
}

// A log without a name is nobody's, whoever claims it; before there is anything in it, it
// is that of a node whose first start a crash has cut short.
func TestALogWithoutANameIsNobodys(t *testing.T) {
	dir := t.TempDir()
	h, _ := alone(t, dir)
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []NodeID{0, 1, 2} {
		h, err := Open(Config{Dir: dir, ID: id, Listen: "127.0.0.1:0"})
		if err == nil {
			_ = h.Close(context.Background()) // it should not be open
			t.Errorf("it was opened as node %d", id)
		} else if !strings.Contains(err.Error(), "is missing") {
			t.Errorf("as node %d: %v", id, err)
		}
	}
	unused := t.TempDir()
	for range 2 {
		h, err := Open(Config{Dir: unused, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(unused, identityFile)); err != nil {
			t.Fatal(err)
		}
	}
}
