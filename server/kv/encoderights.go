package kv

import "encoding/binary"

// tokenKey is the pair that holds the key of StartGuard while rights are enforced.
var tokenKey = []byte{tableToken}

func userKey(name string) []byte { return append([]byte{tableUsers}, name...) }

func roleKey(name string) []byte { return append([]byte{tableRoles}, name...) }

// Who a command comes from, on the wire.
const (
	byNobody byte = iota
	byNode
	byUser
)

func (c Caller) encode(b []byte) []byte {
	switch {
	case c.node:
		return append(b, byNode)
	case c.Name == "":
		return append(b, byNobody)
	}
	b = binary.AppendUvarint(append(b, byUser), uint64(c.Revision))
	return appendBytes(b, []byte(c.Name))
}

func (r *decoder) caller() (c Caller) {
	switch r.byte() {
	case byNobody:
	case byNode:
		return ThisNode
	case byUser:
		c.Revision, c.Name = r.int64(), string(r.bytes())
	default:
		r.fail(ErrMalformed)
	}
	return c
}

func (c ChangeRights) encode(b []byte) []byte {
	b = append(b, byte(c.Kind), flag(c.NoPassword, 1), byte(c.Right.Access))
	for _, s := range [][]byte{[]byte(c.User), []byte(c.Role), c.Hash, c.Right.Key, c.Right.End} {
		b = appendBytes(b, s)
	}
	return b
}

func (r *decoder) changeRights() ChangeRights {
	c := ChangeRights{Kind: RightsChange(r.byte()), NoPassword: r.flags(1) == 1, Right: Right{Access: Access(r.byte())}}
	c.User, c.Role, c.Hash = string(r.bytes()), string(r.bytes()), r.bytes()
	c.Right.Key, c.Right.End = r.bytes(), r.bytes()
	return c
}

func (u *User) encode() []byte {
	b := appendBytes(nil, u.Hash)
	b = append(b, flag(u.NoPassword, 1))
	b = binary.AppendUvarint(b, uint64(u.Since))
	for _, role := range u.Roles {
		b = appendBytes(b, []byte(role))
	}
	return b
}

func decodeUser(pair, value []byte) (*User, error) {
	d := decoder{data: value}
	u := &User{Name: string(pair[1:]), Hash: d.bytes(), NoPassword: d.flags(1) == 1, Since: d.int64()}
	for len(d.data) > 0 {
		u.Roles = append(u.Roles, string(d.bytes()))
	}
	if d.end() != nil {
		return nil, damaged(pair)
	}
	return u, nil
}

func (r *Role) encode() []byte {
	var b []byte
	for _, right := range r.Rights {
		b = append(b, byte(right.Access))
		b = appendBytes(appendBytes(b, right.Key), right.End)
	}
	return b
}

func decodeRole(pair, value []byte) (*Role, error) {
	d := decoder{data: value}
	r := &Role{Name: string(pair[1:])}
	for len(d.data) > 0 {
		right := Right{Access: Access(d.byte())}
		right.Key, right.End = d.bytes(), d.bytes()
		r.Rights = append(r.Rights, right)
	}
	if d.end() != nil {
		return nil, damaged(pair)
	}
	return r, nil
}

func userOf(r Reader, name string) (*User, error) {
	pair := userKey(name)
	value, err := r.Get(pair)
	if err != nil || value == nil {
		return nil, err
	}
	return decodeUser(pair, value)
}

func roleOf(r Reader, name string) (*Role, error) {
	pair := roleKey(name)
	value, err := r.Get(pair)
	if err != nil || value == nil {
		return nil, err
	}
	return decodeRole(pair, value)
}

func usersOf(r Reader) ([]*User, error) { return records(r, tableUsers, decodeUser) }

func rolesOf(r Reader) ([]*Role, error) { return records(r, tableRoles, decodeRole) }

// records reads a whole table, in order of the names.
func records[T any](r Reader, table byte, decode func(pair, value []byte) (*T, error)) (all []*T, err error) {
	it := r.Iterate()
	for ok := it.Seek([]byte{table}); ok; ok = it.Next() {
		pair, value := it.Pair()
		if pair[0] != table {
			break
		}
		one, err := decode(pair, append([]byte(nil), value...))
		if err != nil {
			it.Close()
			return nil, err
		}
		all = append(all, one)
	}
	return all, it.Close()
}
