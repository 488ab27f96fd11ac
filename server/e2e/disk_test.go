//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/wal"
)

// A write that was never acknowledged may be torn by a crash at any byte. The
// node cuts it off and goes on.
func TestATornTailOfTheLogRecovers(t *testing.T) {
	c := startCluster(t, 3)
	put(t, persistent(t, c.nodes...), "kept", 20, valueSize)
	c.agree()
	n := c.leader()
	for _, other := range c.others(n) {
		other.stop()
	}
	whole := lastSegment(t, n)
	n.await("leads alone", func(s *wire.Status) bool { return s.Log.Durable == s.Log.Last })
	// With nobody to replicate it to, the leader has this on its own disk only.
	ctx, cancel := context.WithTimeout(t.Context(), 2*election)
	defer cancel()
	if _, err := n.api.Put(ctx, []byte("torn"), valueOf("torn", valueSize)); !errors.Is(err, client.ErrUnknownOutcome) {
		t.Fatalf("a write without a majority: %v", err)
	}
	n.process.kill()

	// The last batch may also be what the leader wanted for itself, behind the write.
	intact := filepath.Join(n.home, "intact")
	copyDir(t, n.data(), intact)
	end, last := written(t, whole)
	if err := os.Truncate(whole, end-1); err != nil {
		t.Fatal(err)
	}
	before, kept := written(t, whole)
	torn := end - before
	if kept != last-1 {
		t.Fatalf("the last batch of %d bytes has the entries from %d to %d", torn, kept+1, last)
	}
	for _, cut := range []int64{1, 2, 15, 16, 17, torn / 2, torn - 1, torn} {
		copyDir(t, intact, n.data())
		if err := os.Truncate(whole, before+torn-cut); err != nil {
			t.Fatal(err)
		}
		n.start()
		// Alone it cannot know what is committed, but all of it is there.
		if got := n.await("has recovered", func(*wire.Status) bool { return true }).Log.Last; got != kept {
			t.Errorf("after a cut of %d bytes the log ends at %d, want %d", cut, got, kept)
		}
		n.process.kill()
	}

	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	put(t, persistent(t, c.nodes...), "later", 5, valueSize)
	c.agree()
	if got := len(all(t, n.api, "kept")); got != 20 {
		t.Errorf("%d of 20 keys are there", got)
	}
}

// What was acknowledged and is damaged must not be taken for a torn tail: others
// count on it.
func TestAFlippedBitInTheLogIsRefused(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	n.start()
	n.awaitReady()
	put(t, n.api, "key", 20, valueSize)
	n.stop()

	path := lastSegment(t, n)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(log, valueOf("key10", valueSize))
	if at < 0 {
		t.Fatalf("%s does not hold the value", path)
	}
	flip(t, path, int64(at))
	n.serve().refused(t, 1, path, "damaged at offset", "restore the group from a backup")
	// It was refused, and not repaired by the attempt.
	n.serve().refused(t, 1, path)

	flip(t, path, int64(at))
	n.start()
	n.awaitReady()
	if got := len(all(t, n.api, "key")); got != 20 {
		t.Errorf("%d of 20 keys are there", got)
	}
}

func TestASecondProcessOnADataDirectoryIsRefused(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	n.start()
	n.awaitReady()
	put(t, n.api, "key", 1, valueSize)
	second := newNode(t, n.name)
	second.serve("--data-dir", n.data()).refused(t, 1, n.data(), "another process")
	put(t, n.api, "key", 2, valueSize)
	if !n.process.running() {
		t.Error("the first process has ended")
	}
}

// lastSegment is the file that the node's log is written to.
func lastSegment(t *testing.T, n *node) string {
	t.Helper()
	var segments []string
	err := filepath.WalkDir(n.data(), func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".wal") {
			segments = append(segments, path)
		}
		return err
	})
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments of %s: %q, %v", n.name, segments, err)
	}
	return slices.Max(segments)
}

// written is how long the log in its last segment is, for the file may be longer, and
// the index of the last entry.
func written(t *testing.T, segment string) (bytes int64, last uint64) {
	t.Helper()
	report, err := wal.Inspect(os.DirFS(filepath.Dir(segment)))
	if err != nil || len(report.Groups) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	return report.Segments[len(report.Segments)-1].Bytes, uint64(report.Groups[0].Last.Index)
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], offset)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b[:], offset)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// copyDir makes one directory equal to another.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}
