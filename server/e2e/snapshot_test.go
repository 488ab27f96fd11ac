//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

// A snapshot that is saved while a cluster runs becomes another cluster, of another
// size, with the same keys; it can grow; and a damaged file becomes nothing.
func TestSnapshotBecomesACluster(t *testing.T) {
	old := startCluster(t, 1)
	var revision uint64
	for _, value := range []string{"1", "2", "3"} {
		var err error
		if revision, err = old.nodes[0].api.Put(t.Context(), []byte("k"), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "a.snap")
	succeed(t, "snapshot", "save", file, "--endpoints", old.nodes[0].client)
	if got := succeed(t, "snapshot", "status", file); !strings.Contains(got, "whole: 1 keys, revision 4") {
		t.Errorf("status says %q", got)
	}
	quorate(t, "snapshot", "save", file, "--endpoints", old.nodes[0].client).refused(t, 2, "exists")

	next := newCluster(t, 3)
	for _, n := range next.nodes {
		succeed(t, append([]string{"snapshot", "restore", file}, n.command[2:]...)...)
		quorate(t, append([]string{"snapshot", "restore", file}, n.command[2:]...)...).refused(t, 1, "not empty")
	}
	for _, n := range next.nodes {
		n.start()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := dial(t, client.Config{Timeout: 30 * time.Second}, next.nodes...)
	if got, err := all.Get(ctx, []byte("k")); err != nil || string(got.Bytes) != "3" {
		t.Fatalf("%+v, %v", got, err)
	}
	if now, err := all.Put(ctx, []byte("k"), []byte("4")); err != nil || now != revision+1 {
		t.Errorf("revision %d, %v; want %d", now, err, revision+1)
	}
	if then, err := all.Get(ctx, []byte("k"), client.At(2)); err != nil || string(then.Bytes) != "1" {
		t.Errorf("history: %+v, %v", then, err)
	}
	joined := newNode(t, "d", "--join", next.nodes[0].client)
	joined.start()
	eventually(t, "a new member has it", func() error {
		_, err := joined.api.Get(ctx, []byte("k"), client.At(2))
		return err
	})

	later := newCluster(t, 1).nodes[0]
	succeed(t, append([]string{"snapshot", "restore", file, "--bump-revision", "1000", "--mark-compacted"}, later.command[2:]...)...)
	later.start()
	bumped := dial(t, client.Config{Timeout: 30 * time.Second}, later)
	if got, err := bumped.Get(ctx, []byte("k")); err != nil || string(got.Bytes) != "3" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := bumped.Get(ctx, []byte("k"), client.At(revision)); !errors.Is(err, client.ErrCompacted) {
		t.Errorf("a revision from before it was raised: %v", err)
	}
	if now, err := bumped.Put(ctx, []byte("k"), []byte("4")); err != nil || now != revision+1001 {
		t.Errorf("revision %d, %v; want %d", now, err, revision+1001)
	}
	for _, half := range [][]string{{"--bump-revision", "1000"}, {"--mark-compacted"}, {"--bump-revision", "-1", "--mark-compacted"}} {
		quorate(t, append([]string{"snapshot", "restore", file, "--data-dir", filepath.Join(t.TempDir(), "x")}, half...)...).refused(t, 2, "revision")
	}

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, bytes.Clone(data), 0o600); err != nil {
		t.Fatal(err)
	}
	quorate(t, "snapshot", "status", file).refused(t, 1, "damaged")
	quorate(t, "snapshot", "restore", file, "--data-dir", filepath.Join(t.TempDir(), "x")).refused(t, 1, "damaged")
}
