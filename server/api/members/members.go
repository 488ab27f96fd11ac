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

	// StaysLearner is set where somebody wished for a learner: it does not ask to be
	// promoted. Of a voter it means nothing, and the voter takes it out.
	StaysLearner bool `json:"stays_learner,omitempty"`
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

// StaysLearner reports whether a member is a learner until somebody else promotes it.
func StaysLearner(m quorate.Member) bool {
	return m.Role == membership.Learner && InfoOf(m).StaysLearner
}

// Cluster is what is known of the members, and the way to change it; a
// *quorate.Group.
type Cluster interface {
	Status() quorate.Status
	Read(ctx context.Context) (raft.Index, error)
	Reconfigure(ctx context.Context, wish raft.Reconfiguration) error
	Transfer(ctx context.Context, to quorate.NodeID) error
}

// ErrTooManyLearners is that as many members as may have been added to stay learners.
var ErrTooManyLearners = errors.New("members: too many are there to stay learners")

// Add makes a member known, which begins as a learner. If it is to stay one, most says
// how many such may be in the cluster, this one among them; beyond, it is refused with
// ErrTooManyLearners. Other errors are those of [quorate.Group.Reconfigure].
func Add(ctx context.Context, c Cluster, m quorate.Member, most int) error {
	wish := raft.Reconfiguration{Changes: []membership.Change{{Kind: membership.Add, Member: m}}}
	if !InfoOf(m).StaysLearner {
		return insist(ctx, func() error { return c.Reconfigure(ctx, wish) })
	}
	return insist(ctx, func() error {
		// What this node knows of the members may be old: one of them may have been
		// promoted. And two that are added at once must not both be the last that may.
		if _, err := c.Read(ctx); err != nil {
			return err
		}
		now := c.Status()
		if _, err := now.Config.Apply(wish.Changes[0]); err != nil {
			return err // also where there are too many: etcd says it first
		}
		others := 0
		for _, other := range now.Config.Members {
			if StaysLearner(other) {
				others++
			}
		}
		if others >= most {
			return ErrTooManyLearners
		}
		wish.Expect = now.ConfigIndex
		return c.Reconfigure(ctx, wish)
	})
}

// Change changes the membership. A leader that is to go hands over first, so that
// the others need not wait for an election (REQ-M5). The errors are those of
// [quorate.Group.Reconfigure], and [quorate.ErrNotTakenOver], after which the membership
// is as it was.
func Change(ctx context.Context, c Cluster, change membership.Change) error {
	status := c.Status()
	if change.Kind == membership.Remove && change.Member.ID == status.Leader && len(status.Config.Quorum()[0]) > 1 {
		if err := c.Transfer(ctx, 0); err != nil {
			return fmt.Errorf("%w (%w)", quorate.ErrNotTakenOver, err)
		}
	}
	return insist(ctx, func() error {
		return c.Reconfigure(ctx, raft.Reconfiguration{Changes: []membership.Change{change}})
	})
}

// insist tries a change again while another one is in its way. A member that has just
// begun says who it is, by a change as well: nobody who asks for another one at that
// moment should have to know.
func insist(ctx context.Context, change func() error) error {
	for end := time.Now().Add(patience); ; {
		err := change()
		passes := errors.Is(err, raft.ErrChangePending) || errors.Is(err, raft.ErrStaleChange)
		if !passes || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(patience / 50):
		}
	}
}

// patience is for how long another change may be in the way.
const patience = time.Second
