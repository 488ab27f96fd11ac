package quorate

import (
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
