//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A member loses its directory, and its supervisor starts it again with the flags that it
// always had. The others turn it away, it ends and says why, and they go on. Removed and
// added again it is a member as before, under a new ID.
func TestM17AMemberThatLostItsDirectoryIsTurnedAwayAndReplaced(t *testing.T) {
	c := startCluster(t, 3)
	a, b, lost := c.nodes[0], c.nodes[1], c.nodes[2]
	succeed(t, "put", "greeting", "hello", "--endpoints", a.client)
	lost.process.kill()
	if err := os.RemoveAll(lost.data()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as often as it is tried
		lost.start()
		if code := lost.process.exit(t); code != 1 || !strings.Contains(lost.log(), "turns this node away") ||
			!strings.Contains(lost.log(), "remove this member and add it again") {
			t.Errorf("without its directory it ended with exit code %d:\n%s", code, lost.log())
		}
	}
	if !strings.Contains(a.log()+b.log(), "a peer has forgotten what it promised") {
		t.Error("the others do not say that they have turned it away")
	}
	succeed(t, "put", "greeting", "again", "--endpoints", b.client)
	wantGet(t, a, "greeting", "again")

	succeed(t, "member", "remove", lost.name, "--endpoints", a.client)
	if err := os.RemoveAll(lost.data()); err != nil {
		t.Fatal(err)
	}
	back := newNode(t, lost.name, "--join", a.client)
	back.start()
	back.awaitReady()
	c.nodes = []*node{a, b, back}
	c.wantVoters(a, b, back)
	wantGet(t, back, "greeting", "again")
	c.agree()
}

// An old copy of a member's directory is put in its place.
func TestD14AMemberOnAnOldCopyEnds(t *testing.T) {
	c := startCluster(t, 3)
	old := c.nodes[2]
	succeed(t, "put", "greeting", "hello", "--endpoints", old.client)
	old.stop()
	copied := filepath.Join(old.home, "copied")
	copyDir(t, old.data(), copied)
	old.start()
	old.awaitReady()
	put(t, persistent(t, c.nodes...), "later", 20, valueSize)
	c.agree()
	old.stop()
	old.start() // the others learn, at once, how far its log has come
	old.awaitReady()
	old.stop()
	copyDir(t, copied, old.data())
	old.start()
	if code := old.process.exit(t); code != 1 || !strings.Contains(old.log(), "is an old copy") {
		t.Errorf("on an old copy it ended with exit code %d:\n%s", code, old.log())
	}
	if got := len(all(t, c.nodes[0].api, "later")); got != 20 {
		t.Errorf("%d of 20 keys are there", got)
	}
}
