package model

import (
	"maps"
	"slices"

	"github.com/quorate-db/quorate/server/kv"
)

// rights are who may do what at one moment. They are never changed: a change makes
// others.
type rights struct {
	revision int64
	guarded  bool
	users    map[string][]string   // their roles
	roles    map[string][]kv.Right // what they may do
}

// changed are the rights after a change, or the same and why it is refused.
func (r rights) changed(do kv.ChangeRights) (rights, kv.Code) {
	roles, isUser := r.users[do.User]
	granted, isRole := r.roles[do.Role]
	next := rights{r.revision + 1, r.guarded, maps.Clone(r.users), maps.Clone(r.roles)}
	if next.users == nil {
		next.users, next.roles = map[string][]string{}, map[string][]kv.Right{}
	}
	same := func(other kv.Right) bool {
		return string(other.Key) == string(do.Right.Key) && string(other.End) == string(do.Right.End)
	}
	refusal := kv.OK
	switch do.Kind {
	case kv.StartGuard:
		next.revision = r.revision
		next.guarded, refusal = true, r.misses()
	case kv.StopGuard:
		if !r.guarded {
			return r, kv.OK
		}
		next.guarded = false
	case kv.AddUser:
		refusal = first(do.User == "", kv.ErrNoUser, isUser, kv.ErrUserExists)
		next.users[do.User] = nil
	case kv.DeleteUser:
		refusal = first(r.guarded && do.User == kv.Root, kv.ErrRootNeeded, !isUser, kv.ErrUserNotFound)
		delete(next.users, do.User)
	case kv.SetPassword:
		refusal = first(!isUser, kv.ErrUserNotFound)
	case kv.GrantRole:
		refusal = first(!isUser, kv.ErrUserNotFound, !isRole && do.Role != kv.Root, kv.ErrRoleNotFound)
		if refusal == kv.OK && slices.Contains(roles, do.Role) {
			return r, kv.OK
		}
		next.users[do.User] = append(slices.Clone(roles), do.Role)
	case kv.RevokeRole:
		refusal = first(r.guarded && do.User == kv.Root && do.Role == kv.Root, kv.ErrRootNeeded,
			!isUser, kv.ErrUserNotFound, !slices.Contains(roles, do.Role), kv.ErrRoleNotGranted)
		next.users[do.User] = without(roles, func(name string) bool { return name == do.Role })
	case kv.AddRole:
		refusal = first(do.Role == "", kv.ErrNoRole, isRole, kv.ErrRoleExists)
		next.roles[do.Role] = nil
	case kv.DeleteRole:
		refusal = first(r.guarded && do.Role == kv.Root, kv.ErrRootNeeded, !isRole, kv.ErrRoleNotFound)
		delete(next.roles, do.Role)
		for user, roles := range next.users { //order: each for itself
			next.users[user] = without(roles, func(name string) bool { return name == do.Role })
		}
	case kv.GrantRight:
		from, to := bounds(do.Right.Key, do.Right.End)
		refusal = first(from == "" || to != "" && to <= from, kv.ErrInvalidRight, !isRole, kv.ErrRoleNotFound)
		next.roles[do.Role] = append(without(granted, same), do.Right)
	case kv.RevokeRight:
		refusal = first(!isRole, kv.ErrRoleNotFound, !slices.ContainsFunc(granted, same), kv.ErrRightNotGranted)
		next.roles[do.Role] = without(granted, same)
	}
	if refusal != kv.OK {
		return r, refusal
	}
	return next, kv.OK
}

// misses is why rights cannot be enforced: without root nobody could change them.
func (r rights) misses() kv.Code {
	roles, isUser := r.users[kv.Root]
	return first(r.guarded, kv.OK, !isUser, kv.ErrNoRootUser, !slices.Contains(roles, kv.Root), kv.ErrNoRootRole)
}

// first is the code behind the first condition that holds.
func first(cases ...any) kv.Code {
	for i := 0; i < len(cases); i += 2 {
		if cases[i].(bool) {
			return cases[i+1].(kv.Code)
		}
	}
	return kv.OK
}

// without is a copy of a list without some.
func without[T any](all []T, is func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), is)
}

// warrant is what somebody may do.
type warrant struct {
	all    bool
	rights []kv.Right
}

// warrant is what a caller may do, or why that is not known. Who is known to have been
// somebody at an earlier revision of the rights has to say so again.
func (r rights) warrant(by kv.Caller) (warrant, kv.Code) {
	roles, isUser := r.users[by.Name]
	switch {
	case !r.guarded || by == kv.ThisNode:
		return warrant{all: true}, kv.OK
	case by.Name == "":
		return warrant{}, kv.ErrNoUser
	case by.Revision < r.revision:
		return warrant{}, kv.ErrOldRights
	case !isUser:
		return warrant{}, kv.ErrDenied
	}
	w := warrant{all: slices.Contains(roles, kv.Root)}
	for _, name := range roles {
		w.rights = append(w.rights, r.roles[name]...)
	}
	return w, kv.OK
}

// refuses is why a caller is refused who needs what is asked of the warrant.
func (r rights) refuses(by kv.Caller, enough func(warrant) bool) kv.Code {
	w, code := r.warrant(by)
	if code == kv.OK && !w.all && !enough(w) {
		code = kv.ErrDenied
	}
	return code
}

// may reports whether every key of a range may be accessed.
func (w warrant) may(access kv.Access, key, end []byte) bool {
	at, to := bounds(key, end)
	at = max(at, "\x00")
	if to != "" && to <= at { // of no key: one right has to reach over both ends
		return slices.ContainsFunc(w.rights, func(r kv.Right) bool {
			from, until := bounds(r.Key, r.End)
			return r.Access&access != 0 && from < to && (until == "" || until > at)
		})
	}
	for { // what is before at may be; a right that covers at leads further
		further := ""
		for _, r := range w.rights {
			from, until := bounds(r.Key, r.End)
			switch {
			case r.Access&access == 0 || from > at || until != "" && until <= at:
			case until == "":
				return true
			default:
				further = max(further, until)
			}
		}
		if further == "" {
			return false
		}
		if at = further; to != "" && at >= to {
			return true
		}
	}
}

// bounds are the first key of a range and the first behind it; none: "".
func bounds(key, end []byte) (from, to string) {
	switch {
	case len(end) == 0:
		return string(key), string(key) + "\x00"
	case string(end) == string(kv.NoEnd):
		return string(key), ""
	}
	return string(key), string(end)
}

// forbids is why who gives a command must not.
func (m *Store) forbids(c kv.Command) kv.Code {
	r, by := m.rights, c.By
	if !r.guarded {
		return kv.OK
	}
	_, isUser := r.users[by.Name]
	root := by == kv.ThisNode || slices.Contains(r.users[by.Name], kv.Root)
	unnamed := by == kv.Caller{Revision: by.Revision}
	switch do := c.Do.(type) {
	case kv.Txn:
		code := r.refuses(by, func(w warrant) bool { return m.mayTxn(w, do) })
		if code == kv.OK && c.Session != 0 {
			code = m.hides(c.Session, by)
		}
		return code
	case kv.CloseSession:
		return first(unnamed, kv.ErrNoUser, true, m.hides(do.Session, by))
	case kv.RevokeLease:
		if unnamed || root {
			return first(unnamed, kv.ErrNoUser)
		}
		w, code := r.warrant(by)
		if code == kv.OK || code == kv.ErrDenied {
			code = first(!m.mayLease(w, do.ID), kv.ErrDenied)
		}
		return code
	case kv.GrantLease, kv.OpenSession:
		return first(unnamed, kv.ErrNoUser)
	}
	return first(unnamed, kv.ErrNoUser, root, kv.OK, !isUser, kv.ErrUserNotFound, true, kv.ErrDenied)
}

// hides is what somebody is told of a session that somebody else has opened.
func (m *Store) hides(id kv.SessionID, by kv.Caller) kv.Code {
	s := m.Sessions[id]
	return first(s != nil && s.owner != by.Name, kv.ErrSessionExpired)
}

// mayTxn reports whether all of a transaction may be done, whichever branch it takes.
func (m *Store) mayTxn(w warrant, t kv.Txn) bool {
	for _, c := range t.Compares {
		if !w.may(kv.MayRead, c.Key, c.End) {
			return false
		}
	}
	for _, op := range slices.Concat(t.Then, t.Else) {
		may := false
		switch op := op.(type) {
		case kv.Query:
			may = w.may(kv.MayRead, op.Start, op.End)
		case kv.Put:
			may = w.may(kv.MayWrite, op.Key, nil) && m.mayLease(w, op.Lease) && (!op.Previous || w.may(kv.MayRead, op.Key, nil))
		case kv.Delete:
			may = w.may(kv.MayWrite, op.Key, op.End) && (!op.Previous || w.may(kv.MayRead, op.Key, op.End))
		case kv.Txn:
			may = m.mayTxn(w, op)
		}
		if !may {
			return false
		}
	}
	return true
}

// mayLease reports whether every key of a lease may be written.
func (m *Store) mayLease(w warrant, id kv.LeaseID) bool {
	if id == 0 {
		return true
	}
	for _, key := range m.Attached(id) {
		if !w.all && !w.may(kv.MayWrite, []byte(key), nil) {
			return false
		}
	}
	return true
}
