package quorate_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// The largest command that may be configured goes wherever a small one does: from a
// follower to the leader, several at once, into the log and back, and to a member that
// was away.
func TestTheLargestCommandsGoEverywhere(t *testing.T) {
	const largest, several = 17 << 20, 3
	c := newCluster(t, 3, func(cfg *quorate.Config) {
		cfg.MaxCommandBytes = largest
		cfg.HeartbeatInterval, cfg.ElectionTimeout = 50*time.Millisecond, time.Second
	})
	c.propose(c.nodes[0], "begin")
	away := c.follower()
	c.stop(away)
	from := c.follower()

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var proposing sync.WaitGroup
	for i := range several {
		proposing.Go(func() {
			_, err := from.group.Propose(ctx, bytes.Repeat([]byte{byte('a' + i)}, largest))
			for errors.Is(err, quorate.ErrBusy) && ctx.Err() == nil { // they are about as much as may wait at once
				time.Sleep(10 * time.Millisecond)
				_, err = from.group.Propose(ctx, bytes.Repeat([]byte{byte('a' + i)}, largest))
			}
			if err != nil {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	proposing.Wait()
	c.restart(away)
	want := c.read(from)
	if len(want) != 1+several {
		t.Fatalf("%d commands are done, not %d", len(want), 1+several)
	}
	until(t, "the member that was away to have them all", func() bool { return slices.Equal(away.list.all(), want) })

	if _, err := from.group.Propose(ctx, make([]byte, largest+1)); !errors.Is(err, quorate.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
}
