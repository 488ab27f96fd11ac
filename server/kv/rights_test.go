package kv_test

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

func change(kind kv.RightsChange, user, role string) kv.ChangeRights {
	return kv.ChangeRights{Kind: kind, User: user, Role: role, Hash: []byte("hash of " + user)}
}

func right(kind kv.RightsChange, role, key, end string, access kv.Access) kv.ChangeRights {
	return kv.ChangeRights{Kind: kind, Role: role, Right: kv.Right{Key: []byte(key), End: []byte(end), Access: access}}
}

// by gives a command on somebody's behalf. What may not be given is known before.
func (m *member) by(t fataler, who kv.Caller, do kv.Action) kv.Code {
	t.Helper()
	c := kv.Command{By: who, Do: do}
	foreseen := m.Permits(c)
	code := m.raw(t, c.Encode())[0].Code
	if foreseen != nil && foreseen != code || foreseen == nil && (code == kv.ErrDenied || code == kv.ErrOldRights) {
		t.Fatalf("%+v by %+v: refused with %v, foreseen was %v", do, who, code, foreseen)
	}
	return code
}

// guard makes a member enforce rights: those of root, and of u on [a, c), and to read d.
func guard(t fataler, m *member) (root, u kv.Caller) {
	t.Helper()
	for _, c := range []kv.ChangeRights{
		change(kv.AddUser, kv.Root, ""), change(kv.GrantRole, kv.Root, kv.Root),
		change(kv.AddUser, "u", ""), change(kv.AddRole, "", "r"), change(kv.GrantRole, "u", "r"),
		right(kv.GrantRight, "r", "a", "c", kv.MayRead|kv.MayWrite), right(kv.GrantRight, "r", "d", "", kv.MayRead),
		change(kv.StartGuard, "", ""),
	} {
		if code := m.by(t, kv.Caller{}, c); code != kv.OK {
			t.Fatalf("%+v: %v", c, code)
		}
	}
	return kv.Caller{Name: kv.Root, Revision: 8}, kv.Caller{Name: "u", Revision: 8}
}

func TestRightsAreEnforced(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, kv.GrantLease{ID: 1, TTL: 10}, kv.GrantLease{ID: 2, TTL: 10}, kv.GrantLease{ID: 3, TTL: 10},
			then(kv.Put{Key: []byte("z"), Lease: 1}, kv.Put{Key: []byte("b"), Lease: 2}))
		root, u := guard(t, m)
		nobody, old, gone := kv.Caller{}, kv.Caller{Name: "u", Revision: 7}, kv.Caller{Name: "gone", Revision: 8}
		previous := kv.Delete{Key: []byte("a"), Previous: true}
		cases := []struct {
			by   kv.Caller
			do   kv.Action
			want kv.Code
		}{
			{u, then(put("a", "1"), put("b", "1")), kv.OK},
			{u, then(put("c", "1")), kv.ErrDenied},
			{u, then(put("d", "1")), kv.ErrDenied},
			{root, then(put("d", "1"), delRange("x", "z")), kv.OK},
			{kv.ThisNode, then(put("d", "1")), kv.OK},
			{nobody, then(put("a", "1")), kv.ErrNoUser},
			{nobody, kv.Txn{}, kv.ErrNoUser},
			{old, then(put("a", "1")), kv.ErrOldRights},
			{gone, then(put("a", "1")), kv.ErrDenied},
			{u, then(delRange("a", "c")), kv.OK},
			{u, then(delRange("a", "d")), kv.ErrDenied},
			{u, then(kv.Delete{Key: []byte("a"), End: kv.NoEnd}), kv.ErrDenied},
			{u, then(previous), kv.OK},
			{u, kv.Txn{Compares: []kv.Compare{kv.Absent([]byte("d"))}}, kv.OK},
			{u, kv.Txn{Compares: []kv.Compare{kv.Absent([]byte("e"))}}, kv.ErrDenied},
			{u, kv.Txn{Compares: []kv.Compare{{Key: []byte("a"), End: []byte("cc"), Target: kv.Version, Relation: kv.Equal}}}, kv.ErrDenied},
			{u, kv.Txn{Else: []kv.Op{put("e", "1")}}, kv.ErrDenied}, // though it is not carried out
			{u, then(kv.Txn{Then: []kv.Op{kv.Txn{Else: []kv.Op{kv.Query{Start: []byte("e")}}}}}), kv.ErrDenied},
			{u, then(kv.Query{Start: []byte("a"), End: []byte("c")}, kv.Query{Start: []byte("d")}), kv.OK},
			{u, then(kv.Put{Key: []byte("a"), Lease: 1}), kv.ErrDenied}, // it could not revoke the lease
			{u, then(kv.Put{Key: []byte("a"), Lease: 2}), kv.OK},
			{u, kv.RevokeLease{ID: 1}, kv.ErrDenied},
			{nobody, kv.RevokeLease{ID: 3}, kv.ErrNoUser},
			{u, kv.RevokeLease{ID: 2}, kv.OK},
			{kv.ThisNode, kv.RevokeLease{ID: 1}, kv.OK},
			{u, kv.GrantLease{ID: 5, TTL: 10}, kv.OK},
			{nobody, kv.GrantLease{ID: 6, TTL: 10}, kv.ErrNoUser},
			{nobody, kv.OpenSession{}, kv.ErrNoUser},
			{nobody, kv.Compact{Revision: 2}, kv.ErrNoUser},
			{u, kv.Compact{Revision: 2}, kv.ErrDenied},
			{u, kv.Sweep{}, kv.ErrDenied},
			{u, kv.ExpireSessions{}, kv.ErrDenied},
			{u, change(kv.AddUser, "v", ""), kv.ErrDenied},
			{gone, change(kv.AddUser, "v", ""), kv.ErrUserNotFound},
			{nobody, change(kv.StopGuard, "", ""), kv.ErrNoUser},
			{root, change(kv.DeleteUser, kv.Root, ""), kv.ErrRootNeeded},
			{root, change(kv.RevokeRole, kv.Root, kv.Root), kv.ErrRootNeeded},
			{root, change(kv.DeleteRole, "", kv.Root), kv.ErrRootNeeded},
			{root, change(kv.DeleteRole, "", "r"), kv.OK},
			{kv.Caller{Name: "u", Revision: 9}, then(put("a", "1")), kv.ErrDenied},
			{u, then(put("a", "1")), kv.ErrOldRights},
			{root, change(kv.StopGuard, "", ""), kv.OK},
			{nobody, then(put("e", "1")), kv.OK},
		}
		for i, c := range cases {
			if got := m.by(t, c.by, c.do); got != c.want {
				t.Errorf("%d: %+v by %q: %v, want %v", i, c.do, c.by.Name, got, c.want)
			}
		}
	})
}

// What a command may not do a read may not do either.
func TestReadsForSomebody(t *testing.T) {
	m := newMember(t, store.NewMemory())
	m.do(t, then(put("a", "1"), put("e", "secret")), kv.GrantLease{ID: 1, TTL: 10}, then(kv.Put{Key: []byte("e"), Lease: 1}))
	_, u := guard(t, m)
	page, err := m.For(u).Range(kv.Query{Start: []byte("a"), End: []byte("c")})
	if err != nil || len(page.KVs) != 1 {
		t.Errorf("%v, %v", page, err)
	}
	for name, err := range map[string]error{
		"range":   second(m.For(u).Range(kv.Query{Start: []byte("a"), End: []byte("f")})),
		"txn":     second(m.For(u).Read(then(kv.Query{Start: []byte("a")}, kv.Query{Start: []byte("e")}))),
		"compare": second(m.For(u).Read(kv.Txn{Compares: []kv.Compare{kv.Exists([]byte("e"))}})),
		"watch":   m.For(u).Permit(kv.MayRead, []byte("e"), nil),
		"lease":   m.For(u).PermitLeases(kv.MayRead, 1),
		"keys":    second(m.For(u).LeaseKeys(1)),
		"users":   second(m.For(u).Users()),
		"roles":   second(m.For(u).Roles()),
		"root":    second(m.For(u).User(kv.Root)),
		"admin":   m.For(u).Admin(),
	} {
		if err != kv.ErrDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.For(kv.Caller{}).Known(); err != kv.ErrNoUser {
		t.Error(err)
	}
	if self, err := m.For(u).User("u"); err != nil || fmt.Sprint(self.Roles) != "[r]" || string(self.Hash) != "hash of u" {
		t.Errorf("%+v, %v", self, err)
	}
	if own, err := m.For(u).Role("r"); err != nil || len(own.Rights) != 2 {
		t.Errorf("%+v, %v", own, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Who may do what is a part of the state: of its hash, and of its snapshots. What the log
// has made of it and what a snapshot brings is the same.
func TestK03RightsAreInSnapshots(t *testing.T) {
	m, n := newMember(t, store.NewMemory()), newMember(t, store.NewMemory())
	before := m.hash(t)
	root, u := guard(t, m)
	if m.hash(t).Sum == before.Sum {
		t.Error("the hash does not see rights")
	}
	if err := n.Restore(bytes.NewReader(m.snapshot(t))); err != nil {
		t.Fatal(err)
	}
	n.index = m.index
	if m.hash(t) != n.hash(t) {
		t.Error("the copy is different")
	}
	for _, m := range []*member{m, n} {
		if code := m.by(t, u, then(put("c", "1"))); code != kv.ErrDenied {
			t.Error(code)
		}
		if code := m.by(t, root, then(put("c", "1"))); code != kv.OK {
			t.Error(code)
		}
		if key, rights, err := m.TokenKey(); err != nil || string(key) != "hash of " || rights != 8 {
			t.Errorf("%q, %d, %v", key, rights, err)
		}
	}
	m.by(t, root, change(kv.StopGuard, "", ""))
	if key, _, err := m.TokenKey(); err != nil || key != nil {
		t.Errorf("%q, %v", key, err)
	}
}

// A range is allowed exactly if each key in it is, also those between the letters.
func TestRightsCoverRanges(t *testing.T) {
	bound := rapid.SampledFrom([]string{"a", "b", "b\x00", "bb", "c", "d", "e"})
	rapid.Check(t, func(t *rapid.T) {
		m := newMember(t, store.NewMemory())
		guard(t, m)
		root := kv.Caller{Name: kv.Root, Revision: 1 << 40}
		m.by(t, root, right(kv.RevokeRight, "r", "a", "c", 0))
		m.by(t, root, right(kv.RevokeRight, "r", "d", "", 0))
		for range rapid.IntRange(0, 4).Draw(t, "rights") {
			end := rapid.OneOf(bound, rapid.SampledFrom([]string{"", "\x00"})).Draw(t, "end")
			code := m.by(t, root, right(kv.GrantRight, "r", bound.Draw(t, "key"), end, kv.Access(rapid.IntRange(1, 3).Draw(t, "access"))))
			if code != kv.OK && code != kv.ErrInvalidRight {
				t.Fatal(code)
			}
		}
		start, end := bound.Draw(t, "from"), rapid.OneOf(bound, rapid.SampledFrom([]string{"\x00"})).Draw(t, "to")
		if end != "\x00" && end <= start {
			return
		}
		u := m.For(kv.Caller{Name: "u", Revision: 1 << 40})
		each := true
		for _, key := range []string{"a", "a\x00", "ab", "b", "b\x00", "b\x00\x00", "ba", "bb", "bb\x00", "c", "c\x00", "cc", "d", "d\x00", "e", "e\x00", "f", "\xff\xff"} {
			if key >= start && (end == "\x00" || key < end) {
				each = each && u.Permit(kv.MayRead, []byte(key), nil) == nil
			}
		}
		if all := u.Permit(kv.MayRead, []byte(start), []byte(end)) == nil; all != each {
			t.Fatalf("[%q, %q): %v, each key: %v", start, end, all, each)
		}
	})
}

// Numbers that another user has used up would have the owner's writes answered as
// repeated ones, though they were never done.
func TestSessionIsForWhoOpenedIt(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		before := m.do(t, kv.OpenSession{}).Session
		root, u := guard(t, m)
		open := m.raw(t, kv.Command{By: u, Do: kv.OpenSession{}}.Encode())[0].Session
		write := func(by kv.Caller, id kv.SessionID, sequence uint64) kv.Result {
			c := kv.Command{By: by, Session: id, Sequence: sequence, Do: then(put("a", by.Name))}
			return *m.raw(t, c.Encode())[0]
		}
		for _, r := range []struct {
			by   kv.Caller
			id   kv.SessionID
			want kv.Code
		}{
			{kv.Caller{}, open, kv.ErrNoUser},
			{root, open, kv.ErrSessionExpired},
			{u, before, kv.ErrSessionExpired},
			{u, open, kv.OK},
		} {
			if got := write(r.by, r.id, 1); got.Code != r.want || got.Repeated {
				t.Errorf("session %d by %q: %+v, want %v", r.id, r.by.Name, got, r.want)
			}
		}
		if got := write(u, open, 1); !got.Repeated {
			t.Errorf("the owner's write again: %+v", got)
		}
		if got := m.by(t, root, kv.CloseSession{Session: open}); got != kv.ErrSessionExpired {
			t.Errorf("closed by another: %v", got)
		}
		if got := m.by(t, u, kv.CloseSession{Session: open}); got != kv.OK {
			t.Errorf("closed by its owner: %v", got)
		}
	})
}

// Who opens many sessions loses those that were not used for longest; others keep theirs.
func TestOneUsersSessionsAreBounded(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		root, u := guard(t, m)
		open := func(by kv.Caller) kv.SessionID {
			return m.raw(t, kv.Command{By: by, Do: kv.OpenSession{}}.Encode())[0].Session
		}
		write := func(by kv.Caller, id kv.SessionID, sequence uint64) kv.Code {
			c := kv.Command{By: by, Session: id, Sequence: sequence, Millis: 5_000, Do: then(put("a", by.Name))}
			return m.raw(t, c.Encode())[0].Code
		}
		others, clean := open(root), m.snapshot(t)
		first, second := open(u), open(u)
		if code := write(u, first, 1); code != kv.OK { // used since: the second is now the oldest
			t.Fatal(code)
		}
		for range kv.MaxUserSessions - 1 {
			open(u)
		}
		if s, err := m.State(); err != nil || s.Sessions != kv.MaxUserSessions+1 {
			t.Errorf("%d sessions, %v", s.Sessions, err)
		}
		for _, c := range []struct {
			by   kv.Caller
			id   kv.SessionID
			want kv.Code
		}{{root, others, kv.OK}, {u, first, kv.OK}, {u, second, kv.ErrSessionExpired}} {
			if code := write(c.by, c.id, 2); code != c.want {
				t.Errorf("session %d of %q: %v, want %v", c.id, c.by.Name, code, c.want)
			}
		}
		// Nothing of them is left once they have ended.
		m.by(t, kv.ThisNode, kv.ExpireSessions{Before: 9_000})
		if s, err := m.State(); err != nil || s.Sessions != 0 || len(m.snapshot(t)) > len(clean)+200 {
			t.Errorf("%d sessions, %v; %d bytes, %d before", s.Sessions, err, len(m.snapshot(t)), len(clean))
		}
	})
}
