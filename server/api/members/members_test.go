package members_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
)

// busy is a cluster in which another change is pending until a time.
type busy struct {
	until time.Time
	asked int
}

func (b *busy) Status() quorate.Status                         { return quorate.Status{} }
func (b *busy) Transfer(context.Context, quorate.NodeID) error { return nil }
func (b *busy) Change(_ context.Context, _ membership.Change) error {
	b.asked++
	if time.Now().Before(b.until) {
		return raft.ErrChangePending
	}
	return nil
}

// Whoever changes the membership while a member that has just begun says who it is
// need not notice; what is pending for long is told.
func TestAChangeWaitsForAnotherForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon := &busy{until: time.Now().Add(100 * time.Millisecond)}
		if err := members.Change(t.Context(), soon, membership.Change{}); err != nil || soon.asked < 2 {
			t.Errorf("after %d attempts: %v", soon.asked, err)
		}
		late := &busy{until: time.Now().Add(time.Hour)}
		if err := members.Change(t.Context(), late, membership.Change{}); !errors.Is(err, raft.ErrChangePending) || late.asked > 100 {
			t.Errorf("after %d attempts: %v", late.asked, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := members.Change(gone, late, membership.Change{}); !errors.Is(err, raft.ErrChangePending) {
			t.Errorf("a caller that is gone: %v", err)
		}
	})
}
