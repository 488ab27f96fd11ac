// Package members is what the doors of a node have in common about the members of
// its cluster: what a member says about itself in the log, and how one leaves.
package members

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Info is what a member says about itself in the log.
type Info struct {
	Name       string   `json:"name"`
	ClientURLs []string `json:"client_urls,omitempty"`
}

func (i Info) String() string {
	text, err := json.Marshal(i)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// InfoOf returns what a member says about itself; nothing if it is not readable,
// because another version may say it otherwise.
func InfoOf(m quorate.Member) Info {
	var i Info
	if err := json.Unmarshal([]byte(m.Info), &i); err != nil {
		return Info{}
	}
	return i
}

// DrawID draws the ID of a new member: it must differ from that of every member
// that ever was.
func DrawID() quorate.NodeID {
	var b [8]byte
	rand.Read(b[:]) // never fails: the program would have stopped
	return quorate.NodeID(binary.BigEndian.Uint64(b[:]) | 1)
}

// Cluster is what is known of the members, and the way to change it; a
// *quorate.Group.
type Cluster interface {
	Status() quorate.Status
	Change(ctx context.Context, change membership.Change) error
	Transfer(ctx context.Context, to quorate.NodeID) error
}

// Change changes the membership. A leader that is to go hands over first, so that
// the others need not wait for an election (REQ-M5). The errors are those of
// [quorate.Group.Change], and [quorate.ErrNotTakenOver], after which the membership
// is as it was.
func Change(ctx context.Context, c Cluster, change membership.Change) error {
	status := c.Status()
	if change.Kind == membership.Remove && change.Member.ID == status.Leader && len(status.Config.Quorum()[0]) > 1 {
		if err := c.Transfer(ctx, 0); err != nil {
			return fmt.Errorf("%w (%w)", quorate.ErrNotTakenOver, err)
		}
	}
	// A member that has just begun says who it is, by a change as well: nobody who asks
	// for another one at that moment should have to know.
	for end := time.Now().Add(patience); ; {
		err := c.Change(ctx, change)
		if !errors.Is(err, raft.ErrChangePending) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(patience / 50):
		}
	}
}

// patience is for how long another change may be pending.
const patience = time.Second
