package simulate

import (
	"fmt"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/sim"
)

func userName(i int) string { return fmt.Sprint("u", i) }

func (g *guest) roleName() string { return fmt.Sprint("r", g.rng.IntN(3)) }

// administrator is a client that has rights enforced, and goes on to grant and revoke
// them.
type administrator struct {
	guest
	users int
	done  int // of what begins it
}

// Next implements [sim.Guest].
func (a *administrator) Next(calm bool) *sim.Errand {
	if calm {
		return nil
	}
	first := []kv.ChangeRights{
		{Kind: kv.AddUser, User: kv.Root}, {Kind: kv.GrantRole, User: kv.Root, Role: kv.Root},
		{Kind: kv.AddUser, User: userName(0)}, {Kind: kv.AddRole, Role: "r0"}, {Kind: kv.GrantRole, User: userName(0), Role: "r0"},
		{Kind: kv.GrantRight, Role: "r0", Right: kv.Right{Key: []byte(a.prefix), End: kv.PrefixEnd([]byte(a.prefix)), Access: kv.MayRead | kv.MayWrite}},
		{Kind: kv.StartGuard, Hash: []byte("a key")},
	}
	if a.done < len(first) {
		do := first[a.done]
		return a.changes(do)
	}
	return a.changes(a.draw())
}

// Lost implements [sim.Guest].
func (a *administrator) Lost() {}

// changes asks for a change. What begins it is asked for until it is done, or refused:
// it may have been done before.
func (a *administrator) changes(do kv.ChangeRights) *sim.Errand {
	by := kv.Caller{Name: kv.Root}
	if a.rng.IntN(20) == 0 {
		by.Name = userName(a.rng.IntN(a.users)) // who may not
	}
	return a.propose(kv.Command{By: by, Do: do}, func(r *kv.Result) {
		if r.Code == kv.OK || r.Code == kv.ErrUserExists || r.Code == kv.ErrRoleExists {
			a.done++
		}
	})
}

func (a *administrator) draw() kv.ChangeRights {
	do := kv.ChangeRights{User: userName(a.rng.IntN(a.users)), Role: a.roleName()}
	if a.rng.IntN(10) == 0 {
		do.User, do.Role = kv.Root, kv.Root
	}
	kinds := []kv.RightsChange{
		kv.StartGuard, kv.StartGuard, kv.StopGuard, kv.AddUser, kv.AddUser, kv.DeleteUser, kv.SetPassword, kv.AddRole, kv.AddRole, kv.DeleteRole,
		kv.GrantRole, kv.GrantRole, kv.GrantRole, kv.RevokeRole, kv.GrantRight, kv.GrantRight, kv.GrantRight, kv.GrantRight, kv.RevokeRight, kv.RevokeRight,
	}
	do.Kind = kinds[a.rng.IntN(len(kinds))]
	switch do.Kind {
	case kv.GrantRight, kv.RevokeRight:
		do.Right.Key, do.Right.End = a.keys()
		do.Right.Access = []kv.Access{kv.MayRead, kv.MayWrite, kv.MayRead | kv.MayWrite}[a.rng.IntN(3)]
	case kv.StartGuard:
		do.Hash = []byte("a key")
	}
	return do
}

// user is a client that does what it may, and what it may not.
type user struct {
	guest
	name     string
	rights   int64 // the revision of the rights when it last said who it is
	session  kv.SessionID
	sequence uint64
	puts     int
}

// Next implements [sim.Guest].
func (u *user) Next(calm bool) *sim.Errand {
	if calm {
		return nil
	}
	switch draw := u.rng.IntN(20); {
	case draw < 4 || u.rights == 0:
		return u.look(u.name+" says who it is", func(m *kv.Machine) error {
			state, err := u.looked(m)
			u.rights = max(u.rights, state.Rights)
			return err
		})
	case draw < 10:
		q, by := u.query(), u.caller()
		return u.look(fmt.Sprintf("%+v of %+v", q, by), func(m *kv.Machine) error { return u.ranged(m, by, q) })
	case draw < 11:
		return u.propose(kv.Command{By: u.caller(), Do: kv.OpenSession{}}, func(r *kv.Result) {
			if r.Code == kv.OK {
				u.session, u.sequence = r.Session, 0
			}
		})
	case draw < 12:
		return u.propose(kv.Command{By: u.caller(), Do: kv.CloseSession{Session: u.session}}, u.told)
	}
	txn := u.txn(2, 2)
	for txn.Check() != nil { // it changes a key twice: no door lets that through
		txn = u.txn(2, 2)
	}
	c := kv.Command{By: u.caller(), Do: txn}
	if u.session != 0 && u.rng.IntN(2) == 0 {
		u.sequence++
		c.Session, c.Sequence = u.session, u.sequence
	}
	return u.propose(c, u.told)
}

// Lost implements [sim.Guest].
func (u *user) Lost() {}

// told is what it makes of a refusal.
func (u *user) told(r *kv.Result) {
	switch r.Code {
	case kv.ErrOldRights:
		u.rights = 0
	case kv.ErrSessionExpired:
		u.session = 0
	}
}

// caller is mostly who it is.
func (u *user) caller() kv.Caller {
	by := kv.Caller{Name: u.name, Revision: u.rights}
	switch u.rng.IntN(20) {
	case 0:
		by = kv.Caller{}
	case 1:
		by.Name = kv.Root
	}
	return by
}

// query asks for keys, now or as they were.
func (u *user) query() kv.Query {
	var q kv.Query
	q.Start, q.End = u.keys()
	q.Limit = u.rng.Int64N(3)
	q.Count = u.rng.IntN(2) == 0
	if u.rng.IntN(3) == 0 {
		q.Revision = max(1, u.Revision()-u.rng.Int64N(20)+2)
	}
	if u.rng.IntN(3) == 0 {
		q.By, q.Order = kv.ModRevision, kv.Descending
	}
	return q
}

// txn is a transaction, whose keys all have ranges and conditions of their own.
func (u *user) txn(most, depth int) (t kv.Txn) {
	for range u.rng.IntN(2) {
		c := kv.Compare{Target: kv.Version, Relation: kv.Greater}
		c.Key, c.End = u.keys()
		if u.rng.IntN(2) == 0 {
			c.Target, c.Relation, c.Number = kv.ModRevision, kv.Less, u.Revision()-u.rng.Int64N(40)
		}
		t.Compares = append(t.Compares, c)
	}
	t.Then, t.Else = u.ops(1+u.rng.IntN(most), depth), u.ops(u.rng.IntN(most), depth)
	return t
}

func (u *user) ops(n, depth int) (ops []kv.Op) {
	for range n {
		switch draw := u.rng.IntN(8); {
		case draw == 0 && depth > 0:
			ops = append(ops, u.txn(2, depth-1))
		case draw < 3:
			ops = append(ops, u.query())
		case draw < 4:
			d := kv.Delete{Previous: u.rng.IntN(2) == 0}
			d.Key, d.End = u.keys()
			ops = append(ops, d)
		default:
			u.puts++
			p := kv.Put{Key: u.key(), Value: fmt.Appendf(nil, "%s.%d", u.name, u.puts), Previous: u.rng.IntN(2) == 0}
			if u.rng.IntN(4) == 0 {
				p.Lease = kv.LeaseID(1000*(1+u.rng.IntN(2)) + 1 + u.rng.IntN(3)) // somebody else's, if there is one
			}
			ops = append(ops, p)
		}
	}
	return ops
}
