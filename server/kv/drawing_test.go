package kv_test

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
)

// A drawing draws from few keys, sessions and numbers, so that commands meet.
type drawing struct {
	*rapid.T
	*model.Store
}

func (d drawing) key() []byte {
	return []byte(rapid.SampledFrom([]string{"a", "a\x00", "a\x00\x01", "ab", "b", "\xff"}).Draw(d.T, "key"))
}

func (d drawing) end() []byte {
	return rapid.SampledFrom([][]byte{nil, nil, kv.NoEnd, []byte("b"), []byte("\xff")}).Draw(d.T, "end")
}

func (d drawing) bool(label string) bool { return rapid.Bool().Draw(d.T, label) }

func (d drawing) value() []byte { return rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(d.T, "value") }

// near is a revision that has been, or nearly.
func (d drawing) near(label string) int64 {
	return rapid.Int64Range(-1, d.Revision()+1).Draw(d.T, label)
}

func (d drawing) compare() kv.Compare {
	c := kv.Compare{
		Key: d.key(), End: d.end(),
		Target:   kv.Target(rapid.IntRange(int(kv.CreateRevision), int(kv.Lease)).Draw(d.T, "target")),
		Relation: kv.Relation(rapid.IntRange(int(kv.Equal), int(kv.Less)).Draw(d.T, "relation")),
	}
	switch c.Target {
	case kv.Value:
		c.Bytes = d.value()
	case kv.Lease:
		c.Number = rapid.SampledFrom([]int64{0, 7, -1}).Draw(d.T, "number")
	case kv.Version:
		c.Number = rapid.Int64Range(-1, 3).Draw(d.T, "number")
	default:
		c.Number = d.near("number")
	}
	return c
}

func (d drawing) put() kv.Put {
	p := kv.Put{Key: d.key(), Previous: d.bool("previous")}
	switch rapid.IntRange(0, 8).Draw(d.T, "put") {
	case 0:
		p.KeepValue = true
	case 1:
		p.KeepLease, p.Value = true, d.value()
	case 2:
		p.KeepLease, p.KeepValue = true, true
	case 3, 4:
		p.Lease, p.Value = d.lease(), d.value()
	default:
		p.Value = d.value()
	}
	return p
}

func (d drawing) lease() kv.LeaseID {
	return rapid.SampledFrom([]kv.LeaseID{7, 7, 8, -1}).Draw(d.T, "lease")
}

func (d drawing) revoke() kv.RevokeLease {
	do := kv.RevokeLease{ID: d.lease()}
	if d.bool("of one grant") {
		do.Grant = d.Leases[do.ID].Index + raft.Index(rapid.IntRange(0, 1).Draw(d.T, "other grant"))
	}
	return do
}

// note is a note of few leases, some of which are no more.
func (d drawing) note() kv.NoteRemaining {
	do := kv.NoteRemaining{After: d.Noted + raft.Index(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(d.T, "another note"))}
	for range rapid.IntRange(0, 3).Draw(d.T, "leases") {
		do.Of = append(do.Of, kv.Remaining{
			Grant:   d.Leases[d.lease()].Index + raft.Index(rapid.IntRange(0, 1).Draw(d.T, "other grant")),
			Seconds: rapid.Int64Range(0, 4).Draw(d.T, "left"),
		})
	}
	return do
}

func (d drawing) query() kv.Query {
	q := kv.Query{
		Start: d.key(), End: d.end(),
		Limit:    rapid.Int64Range(0, 3).Draw(d.T, "limit"),
		KeysOnly: d.bool("keys only"), Count: d.bool("count"),
		By:    rapid.SampledFrom([]kv.Target{0, kv.Key, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Value}).Draw(d.T, "by"),
		Order: kv.Order(rapid.IntRange(0, 2).Draw(d.T, "order")),
	}
	switch rapid.IntRange(0, 5).Draw(d.T, "query") {
	case 0:
		q.CountOnly = true
	case 1:
		q.Revision = d.near("revision")
	case 2:
		q.Create = kv.Between{Min: d.near("least"), Max: d.near("greatest")}
	case 3:
		q.Mod = kv.Between{Min: d.near("least"), Max: d.near("greatest")}
	}
	return q
}

func (d drawing) ops(most, depth int) (ops []kv.Op) {
	for range rapid.IntRange(0, most).Draw(d.T, "operations") {
		switch rapid.IntRange(0, 7).Draw(d.T, "kind") {
		case 0:
			ops = append(ops, kv.Delete{Key: d.key(), End: d.end(), Previous: d.bool("previous")})
		case 1, 2:
			ops = append(ops, d.query())
		case 3:
			if depth > 0 {
				ops = append(ops, d.txn(2, depth-1))
			}
		default:
			ops = append(ops, d.put())
		}
	}
	return ops
}

func (d drawing) txn(most, depth int) (t kv.Txn) {
	for range rapid.IntRange(0, 2).Draw(d.T, "compares") {
		t.Compares = append(t.Compares, d.compare())
	}
	t.Then = d.ops(most, depth)
	t.Else = d.ops(most, depth)
	return t
}

// caller is mostly one who may do everything.
func (d drawing) caller() kv.Caller {
	if d.bool("this node") {
		return kv.ThisNode
	}
	rights := d.State(1 << 40).Rights
	return kv.Caller{
		Name:     rapid.SampledFrom([]string{"", kv.Root, "u", "u", "v"}).Draw(d.T, "caller"),
		Revision: max(0, rights-int64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(d.T, "behind"))),
	}
}

func (d drawing) rights() kv.ChangeRights {
	return kv.ChangeRights{
		Kind:  kv.RightsChange(rapid.IntRange(int(kv.StartGuard), int(kv.RevokeRight)).Draw(d.T, "kind of change")),
		User:  rapid.SampledFrom([]string{kv.Root, "u", "u", "v", ""}).Draw(d.T, "user"),
		Role:  rapid.SampledFrom([]string{kv.Root, "r", "r", "s", ""}).Draw(d.T, "role"),
		Right: kv.Right{Key: d.key(), End: d.end(), Access: kv.Access(rapid.IntRange(0, 3).Draw(d.T, "access"))},
	}
}

// guard is what makes rights count, and somebody have some.
var guarding = []kv.ChangeRights{
	change(kv.AddUser, kv.Root, ""), change(kv.GrantRole, kv.Root, kv.Root), change(kv.AddUser, "u", ""), change(kv.AddRole, "", "r"),
	change(kv.GrantRole, "u", "r"), right(kv.GrantRight, "r", "a", "b", kv.MayRead|kv.MayWrite), change(kv.StartGuard, "", ""),
}

func (d drawing) session() kv.SessionID {
	ids := []kv.SessionID{1 << 40}
	for id := range d.Sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(d.T, "session")
}

func (d drawing) command() kv.Command {
	c := kv.Command{Millis: rapid.Int64Range(0, 9_000).Draw(d.T, "millis"), By: d.caller()}
	switch rapid.IntRange(0, 30).Draw(d.T, "action") {
	case 0, 1:
		c.Do = kv.OpenSession{}
	case 2:
		c.Do = kv.CloseSession{Session: d.session()}
	case 3:
		c.Do = kv.ExpireSessions{Before: rapid.Int64Range(0, 9_000).Draw(d.T, "before")}
	case 4:
		c.Do = kv.Compact{Revision: max(0, d.near("compact"))}
	case 5:
		c.Do = kv.Sweep{}
	case 6, 7, 8:
		c.Do = kv.GrantLease{ID: d.lease(), TTL: rapid.Int64Range(0, 3).Draw(d.T, "ttl")}
	case 9:
		c.Do = d.revoke()
	case 10:
		c.Do = d.note()
	case 11:
		c.Do = kv.SetQuota{Bytes: rapid.SampledFrom([]int64{0, 300, 1000}).Draw(d.T, "quota")}
	case 12:
		c.Do = kv.SetAlarm{On: d.bool("on"), Alarm: kv.Alarm{
			Member: rapid.Uint64Range(1, 2).Draw(d.T, "member"), Kind: kv.AlarmKind(rapid.IntRange(1, 2).Draw(d.T, "kind of alarm")),
		}}
	case 13, 14, 15:
		c.Do = d.rights()
	default:
		c.Do = d.txn(3, 2)
		if d.bool("in a session") {
			c.Session, c.Sequence = d.session(), rapid.Uint64Range(1, 50).Draw(d.T, "sequence")
		}
	}
	return c
}
