package node

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/quorate-db/quorate/server/kv"
)

// defaultQuota is etcd's, in bytes.
const defaultQuota = 2 << 30

// quota reads how much may be kept; zero is the default, and below zero, as with etcd,
// is any number.
func quota(to *int64, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a whole number of bytes", value)
	}
	*to = max(0, cmp.Or(n, defaultQuota))
	return nil
}

// housekeep is what the leader does for the space that the store takes.
func (k *keeper) housekeep(ctx context.Context) error {
	state, err := k.machine.State()
	if err != nil {
		return err
	}
	at := k.past.due(time.Now(), state.Revision, state.Compacted)
	switch {
	case state.Quota != k.cfg.Space.Quota:
		_, err = k.group.Propose(ctx, kv.Command{By: kv.ThisNode, Do: kv.SetQuota{Bytes: k.cfg.Space.Quota}}.Encode())
	case at > 0:
		k.log.Debug("compacting history by itself", "revision", at)
		_, err = k.group.Propose(ctx, kv.Command{By: kv.ThisNode, Do: kv.Compact{Revision: at}}.Encode())
	case state.Swept != state.Compacted:
		// The space comes back though nobody writes.
		_, err = k.group.Propose(ctx, kv.Command{By: kv.ThisNode, Do: kv.Sweep{}}.Encode())
	}
	return err
}

// room is how much of the quota is left.
type room int

const (
	enough room = iota
	little
	none
)

func roomIn(s kv.State) room {
	switch {
	case s.Full:
		return none
	case s.Low():
		return little
	}
	return enough
}

// lookAtSpace notes how far the store has come, and tells of what it takes.
func (k *keeper) lookAtSpace() {
	if state, err := k.machine.State(); err == nil { // an error is told by who needs the state
		k.past.note(time.Now(), state.Revision)
		k.tellOfSpace(state)
	}
}

// tellOfSpace says when the quota comes near, is passed, and is no longer. Every node
// says it of what it has applied.
func (k *keeper) tellOfSpace(state kv.State) {
	if roomIn(state) == k.room {
		return
	}
	was := k.room
	k.room = roomIn(state)
	switch {
	case k.room == none:
		k.log.Error("the quota is passed: nothing is taken that makes the store grow until a tenth of it is free; delete keys and compact, or raise --quota-backend-bytes",
			"bytes", state.Bytes, "quota", state.Quota)
	case k.room == little && was == enough:
		k.log.Warn("more than 80 % of the quota are taken: delete keys and compact, or raise --quota-backend-bytes", "bytes", state.Bytes, "quota", state.Quota)
	case was == none:
		k.log.Info("there is room again: the store takes all", "bytes", state.Bytes, "quota", state.Quota)
	}
}
