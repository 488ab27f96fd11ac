package kv

import (
	"bytes"
	"cmp"
	"slices"
)

// Access is what may be done with keys.
type Access uint8

// The kinds of access, which may be combined.
const (
	MayRead Access = 1 << iota
	MayWrite
)

// Right is access to a key, or to a range of keys; see NoEnd.
type Right struct {
	Key, End []byte
	Access   Access
}

// User is somebody who may have rights: those of the roles.
type User struct {
	Name       string
	Hash       []byte // of the password, whatever kind of hash the doors make; empty: no password is right
	NoPassword bool   // there never is one
	Since      int64  // the revision of the rights at which the password, or that there is none, was set
	Roles      []string
}

// Role is a bundle of rights, in order of their keys and ends.
type Role struct {
	Name   string
	Rights []Right
}

// Root is the user who must be there for rights to be enforced, and the role that
// may do everything.
const Root = "root"

// Caller is on whose behalf something is done. The zero Caller is a client that has
// not said who it is.
type Caller struct {
	Name     string
	Revision int64 // of the rights when the name was found to be right
	node     bool
}

// ThisNode is the cluster itself, which may do everything: end a lease whose time is
// over, for example.
var ThisNode = Caller{node: true}

func (u *User) has(role string) bool { return slices.Contains(u.Roles, role) }

func (u *User) isRoot() bool { return u.has(Root) }

// check refuses a range that a right cannot have.
func (r Right) check() error {
	from, to := bounds(r.Key, r.End)
	if len(from) == 0 || to != nil && bytes.Compare(from, to) >= 0 {
		return ErrInvalidRight
	}
	return nil
}

// bounds are the first key of a range and the first no longer in it; nil: it has none.
func bounds(key, end []byte) (from, to []byte) {
	switch {
	case len(end) == 0:
		return key, append(slices.Clip(key), 0)
	case bytes.Equal(end, NoEnd):
		return key, nil
	}
	return key, end
}

// allowed reports whether rights together cover all of a range, keys that do not
// exist included.
func allowed(rights []Right, access Access, key, end []byte) bool {
	from, to := bounds(key, end)
	if len(from) == 0 {
		from = []byte{0} // the smallest key there can be: a right cannot begin before
	}
	var one []Right // those that help; each might be all that is needed
	for _, r := range rights {
		if r.Access&access == 0 {
			continue
		}
		rFrom, rTo := bounds(r.Key, r.End)
		if rTo != nil && bytes.Compare(rTo, from) <= 0 || to != nil && bytes.Compare(rFrom, to) >= 0 {
			continue
		}
		if bytes.Compare(rFrom, from) <= 0 && (rTo == nil || to != nil && bytes.Compare(rTo, to) >= 0) {
			return true
		}
		one = append(one, r)
	}
	slices.SortFunc(one, Right.compare)
	for _, r := range one {
		rFrom, rTo := bounds(r.Key, r.End)
		switch {
		case bytes.Compare(rFrom, from) > 0:
			return false // nothing covers what is before
		case rTo == nil:
			return true
		case bytes.Compare(rTo, from) > 0:
			from = rTo
		}
		if to != nil && bytes.Compare(from, to) >= 0 {
			return true
		}
	}
	return false
}

func (r Right) compare(other Right) int {
	return cmp.Or(bytes.Compare(r.Key, other.Key), bytes.Compare(r.End, other.End))
}
