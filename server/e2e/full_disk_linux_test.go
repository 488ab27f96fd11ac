package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

const smallDisk, fullValue = "size=96m", 256 << 10

// D10: a disk fills up. Before it is full, writes are refused with an error that says so;
// reads go on, and the node lives. With room again writes go on by themselves, and
// all that was acknowledged is there.
func TestD10AFullDiskRefusesWritesAndGoesOn(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	mount(t, n.home, smallDisk)
	n.start()
	n.awaitReady()
	acked := fill(t, n, fullValue)

	status, body := n.send(t, http.MethodPut, "/v1/kv/over", "more")
	var problem wire.Problem
	if err := json.Unmarshal(body, &problem); err != nil || status != http.StatusInsufficientStorage || problem.Code != wire.DiskFull {
		t.Errorf("a write over HTTP: status %d, %s", status, body)
	}
	if status, body = n.send(t, http.MethodPost, "/v3/kv/put", `{"key":"b3Zlcg==","value":"bW9yZQ=="}`); status == http.StatusOK || !bytes.Contains(body, []byte("space exceeded")) {
		t.Errorf("a write of etcd's: status %d, %s", status, body)
	}
	n.holds(t, acked[:3])

	// Somebody takes what was kept free, too, to the last byte.
	ballast := filepath.Join(n.home, "ballast")
	if err := fillUp(ballast); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	n.holds(t, acked[:3])
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", n.home, "tmpfs", syscall.MS_REMOUNT, "size=512m"); err != nil {
		t.Fatalf("the disk cannot be made larger: %v", err)
	}
	eventually(t, "writes are taken", func() error {
		_, err := n.api.Put(t.Context(), []byte("after"), valueOf("after", fullValue))
		return err
	})
	n.holds(t, append(acked, "after"))
	if !n.process.running() {
		t.Error("the process has ended")
	}
	t.Logf("%d writes were acknowledged on the small disk", len(acked))
}

// Where the leader's disk is full, a member with room leads soon.
func TestD10AMemberWithRoomLeads(t *testing.T) {
	c := newCluster(t, 3)
	mounted := c.nodes[0]
	mount(t, mounted.home, smallDisk)
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	if err := fillUp(filepath.Join(mounted.home, "ballast")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	eventually(t, "a member with room leads", func() error {
		// What was taken just before the disk was full waits for room, and so may its client.
		_, err := mounted.api.Put(t.Context(), []byte("here"), []byte("?"))
		if c.leader() == mounted {
			return fmt.Errorf("it is the one without, which answers %w", err)
		}
		return nil
	})
	put(t, persistent(t, c.others(mounted)...), "elsewhere", 20, fullValue)
	if err := os.Remove(filepath.Join(mounted.home, "ballast")); err != nil {
		t.Fatal(err)
	}
	c.agree()
}

// holds reads keys that were acknowledged.
func (n *node) holds(t *testing.T, keys []string) {
	t.Helper()
	for _, key := range keys {
		got, err := n.api.Get(t.Context(), []byte(key))
		if err != nil || string(got.Bytes) != string(valueOf(key, fullValue)) {
			t.Errorf("%s, which was acknowledged, has %d bytes now: %v", key, len(got.Bytes), err)
		}
	}
}

// send makes a request that no client of ours makes better, and returns the answer.
func (n *node) send(t *testing.T, method, path, body string) (status int, answer []byte) {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), method, n.client+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(rs.Body); err != nil {
		t.Fatal(err)
	}
	return rs.StatusCode, b.Bytes()
}

// fillUp writes a file until it fails.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for some := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(some)
	}
	return err
}

// fill writes until the disk is full and returns the keys that were acknowledged.
// The error must be the one that says so.
func fill(t *testing.T, n *node, valueSize int) []string {
	t.Helper()
	var acked []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		key := fmt.Sprint("full", len(acked))
		_, err := n.api.Put(t.Context(), []byte(key), valueOf(key, valueSize))
		switch {
		case err == nil:
			acked = append(acked, key)
		case errors.Is(err, client.ErrDiskFull):
			return acked
		default:
			t.Fatalf("a write to a full disk: %v", err)
		}
	}
	t.Fatalf("a disk of 96 MiB took %d values of 256 KiB", len(acked))
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
