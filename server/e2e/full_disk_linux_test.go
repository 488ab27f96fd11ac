package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

// A full disk is weather: it ends a write with an error, and once there is room
// again, all that was acknowledged is there.
func TestAFullDiskAnswersAnErrorAndLosesNothing(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	mount(t, n.home, "size=24m")
	n.start()
	n.awaitReady()

	const valueSize = 256 << 10 // bytes
	acked := fill(t, n, valueSize)
	// What the disk holds now, only a restart can tell: the node stops.
	if code := n.process.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	said := outcome{err: n.log(), code: 1}
	said.refused(t, 1, "no space left on device", "start")

	if err := syscall.Mount("none", n.home, "tmpfs", syscall.MS_REMOUNT, "size=128m"); err != nil {
		t.Fatalf("the disk cannot be made larger: %v", err)
	}
	n.start()
	n.awaitReady()
	for _, key := range acked {
		got, err := n.api.Get(t.Context(), []byte(key))
		if err != nil || string(got.Bytes) != string(valueOf(key, valueSize)) {
			t.Errorf("%s, which was acknowledged, has %d bytes now: %v", key, len(got.Bytes), err)
		}
	}
	put(t, n.api, "after", 1, valueSize)
	t.Logf("%d writes were acknowledged on the small disk", len(acked))
}

// fill writes until the disk is full and returns the keys that were acknowledged.
// The error must be one of those that a client knows what to do with.
func fill(t *testing.T, n *node, valueSize int) []string {
	t.Helper()
	var acked []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		key := fmt.Sprint("full", len(acked))
		_, err := n.api.Put(t.Context(), []byte(key), valueOf(key, valueSize))
		switch {
		case err == nil:
			acked = append(acked, key)
		case errors.Is(err, client.ErrUnknownOutcome), errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrNoLeader):
			t.Logf("the first error: %v", err)
			return acked
		default:
			t.Fatalf("a write to a full disk: %v", err)
		}
	}
	t.Fatalf("a disk of 24 MiB took %d values of 256 KiB", len(acked))
	return nil
}

// mount makes a directory a small disk of its own, or skips the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small disk needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", filepath.Base(dir), err)
		}
	})
}
