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
	members.Cluster
	until time.Time
	asked int
}

func (b *busy) Status() quorate.Status { return quorate.Status{} }
func (b *busy) Reconfigure(_ context.Context, _ raft.Reconfiguration) error {
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

// racing is a cluster to which others add learners, too, each time when somebody has
// looked at it and has not acted yet.
type racing struct {
	members.Cluster
	status quorate.Status
	others []quorate.Member
}

func (r *racing) Read(context.Context) (raft.Index, error) { return 0, nil }

func (r *racing) Status() quorate.Status {
	now := r.status
	if len(r.others) > 0 {
		r.add(r.others[0])
		r.others = r.others[1:]
	}
	return now
}

func (r *racing) add(m quorate.Member) {
	r.status.Config = membership.New(append(r.status.Config.Members, m)...)
	r.status.ConfigIndex++
}

func (r *racing) Reconfigure(_ context.Context, wish raft.Reconfiguration) error {
	if wish.Expect != 0 && wish.Expect != r.status.ConfigIndex {
		return raft.ErrStaleChange
	}
	r.add(wish.Changes[0].Member)
	return nil
}

// Of two members that are added at once to stay learners only as many come in as may,
// and one that is on its way to a vote takes nobody's place.
func TestOnlySoManyStayLearners(t *testing.T) {
	stays := members.Info{StaysLearner: true}.String()
	learner := func(id quorate.NodeID, info string) quorate.Member {
		return quorate.Member{ID: id, Role: membership.Learner, Info: info}
	}
	for _, c := range []struct {
		name    string
		present quorate.Member
		others  []quorate.Member
		most    int
		want    error
	}{
		{"nobody else", learner(2, ""), nil, 1, nil},
		{"one that was promoted", quorate.Member{ID: 2, Role: membership.Voter, Info: stays}, nil, 1, nil},
		{"another one", learner(2, stays), nil, 1, members.ErrTooManyLearners},
		{"one other of two", learner(2, stays), nil, 2, nil},
		{"none may", learner(2, ""), nil, 0, members.ErrTooManyLearners},
		{"another one comes first", learner(2, ""), []quorate.Member{learner(4, stays)}, 1, members.ErrTooManyLearners},
		{"a voter to be comes first", learner(2, ""), []quorate.Member{learner(4, "")}, 1, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &racing{others: c.others}
			r.add(quorate.Member{ID: 1, Role: membership.Voter})
			r.add(c.present)
			if err := members.Add(t.Context(), r, learner(3, stays), c.most); err != c.want {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if _, there := r.status.Config.Find(3); there != (c.want == nil) {
				t.Errorf("%s: it is a member: %v", c.name, there)
			}
		})
	}
}
