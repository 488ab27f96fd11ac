package kv

import "slices"

// ChangeRights changes who may do what. Which fields count depends on the kind.
type ChangeRights struct {
	Kind RightsChange
	User string
	Role string

	// Hash is that of the new password; of a StartGuard a key of the proposer's own
	// making, for who signs what users show.
	Hash       []byte
	NoPassword bool

	Right Right
}

// RightsChange is a kind of change of rights.
type RightsChange uint8

// The kinds of changes. Their numbers are in logs and must not change.
const (
	StartGuard  RightsChange = iota + 1 // from now on rights are enforced: Hash
	StopGuard                           // they are no longer
	AddUser                             // User, Hash, NoPassword
	DeleteUser                          // User
	SetPassword                         // User, Hash
	GrantRole                           // User, Role
	RevokeRole                          // User, Role
	AddRole                             // Role
	DeleteRole                          // Role
	GrantRight                          // Role, Right
	RevokeRight                         // Role, the range of Right
)

func (ChangeRights) action() {}

func (c ChangeRights) check() error {
	switch {
	case c.Kind < StartGuard || c.Kind > RevokeRight || c.Right.Access > MayRead|MayWrite:
		return ErrMalformed
	case len(c.User) > MaxKeyBytes || len(c.Role) > MaxKeyBytes || len(c.Hash) > MaxKeyBytes ||
		len(c.Right.Key) > MaxKeyBytes || len(c.Right.End) > MaxKeyBytes:
		return ErrTooLarge
	}
	return nil
}

// changeRights carries a change out. Each that changes something raises the revision
// of the rights, but for the start.
func (s *step) changeRights(do ChangeRights) error {
	switch do.Kind {
	case StartGuard:
		return s.startGuard(do.Hash)
	case StopGuard:
		if s.guarded {
			s.guarded = false
			s.rights++
			s.batch.Delete(tokenKey)
		}
		return nil
	case AddUser:
		return s.addUser(do)
	case DeleteUser:
		return s.deleteUser(do.User)
	case AddRole:
		return s.addRole(do.Role)
	case DeleteRole:
		return s.deleteRole(do.Role)
	case GrantRight, RevokeRight:
		return s.changeRole(do)
	}
	return s.changeUser(do)
}

func (s *step) startGuard(key []byte) error {
	if s.guarded {
		return nil
	}
	root, err := userOf(s.reader, Root)
	switch {
	case err != nil:
		return err
	case root == nil:
		return ErrNoRootUser
	case !root.isRoot():
		return ErrNoRootRole
	}
	s.guarded = true
	s.batch.Set(tokenKey, key)
	return nil
}

func (s *step) addUser(do ChangeRights) error {
	if do.User == "" {
		return ErrNoUser
	}
	was, err := userOf(s.reader, do.User)
	if err != nil {
		return err
	}
	if was != nil {
		return ErrUserExists
	}
	return s.setUser(&User{Name: do.User, Hash: do.Hash, NoPassword: do.NoPassword, Since: s.rights + 1})
}

func (s *step) deleteUser(name string) error {
	if s.guarded && name == Root {
		return ErrRootNeeded
	}
	was, err := userOf(s.reader, name)
	if err != nil {
		return err
	}
	if was == nil {
		return ErrUserNotFound
	}
	s.batch.Delete(userKey(name))
	s.rights++
	return nil
}

// changeUser changes the password or the roles of a user.
func (s *step) changeUser(do ChangeRights) error {
	if do.Kind == RevokeRole && s.guarded && do.User == Root && do.Role == Root {
		return ErrRootNeeded
	}
	user, err := userOf(s.reader, do.User)
	switch {
	case err != nil:
		return err
	case user == nil:
		return ErrUserNotFound
	}
	at, has := slices.BinarySearch(user.Roles, do.Role)
	switch do.Kind {
	case SetPassword:
		if !user.NoPassword {
			user.Hash = do.Hash
		}
		user.Since = s.rights + 1
	case GrantRole:
		if do.Role != Root {
			if role, err := roleOf(s.reader, do.Role); err != nil {
				return err
			} else if role == nil {
				return ErrRoleNotFound
			}
		}
		if has {
			return nil
		}
		user.Roles = slices.Insert(user.Roles, at, do.Role)
	case RevokeRole:
		if !has {
			return ErrRoleNotGranted
		}
		user.Roles = slices.Delete(user.Roles, at, at+1)
	}
	return s.setUser(user)
}

func (s *step) addRole(name string) error {
	if name == "" {
		return ErrNoRole
	}
	was, err := roleOf(s.reader, name)
	if err != nil {
		return err
	}
	if was != nil {
		return ErrRoleExists
	}
	return s.setRole(&Role{Name: name})
}

// deleteRole deletes a role and takes it from all users.
func (s *step) deleteRole(name string) error {
	if s.guarded && name == Root {
		return ErrRootNeeded
	}
	was, err := roleOf(s.reader, name)
	if err != nil {
		return err
	}
	if was == nil {
		return ErrRoleNotFound
	}
	users, err := usersOf(s.reader)
	if err != nil {
		return err
	}
	for _, u := range users {
		if at, has := slices.BinarySearch(u.Roles, name); has {
			u.Roles = slices.Delete(u.Roles, at, at+1)
			s.batch.Set(userKey(u.Name), u.encode())
		}
	}
	s.batch.Delete(roleKey(name))
	s.rights++
	return nil
}

// changeRole grants or revokes a right. There is one for each range: a second
// replaces the first.
func (s *step) changeRole(do ChangeRights) error {
	if do.Kind == GrantRight {
		if err := do.Right.check(); err != nil {
			return err
		}
	}
	role, err := roleOf(s.reader, do.Role)
	switch {
	case err != nil:
		return err
	case role == nil:
		return ErrRoleNotFound
	}
	at, has := slices.BinarySearchFunc(role.Rights, do.Right, Right.compare)
	switch {
	case do.Kind == RevokeRight && !has:
		return ErrRightNotGranted
	case do.Kind == RevokeRight:
		role.Rights = slices.Delete(role.Rights, at, at+1)
	case has:
		role.Rights[at].Access = do.Right.Access
	default:
		role.Rights = slices.Insert(role.Rights, at, do.Right)
	}
	return s.setRole(role)
}

func (s *step) setUser(u *User) error { return s.setRecord(userKey(u.Name), u.encode()) }

func (s *step) setRole(r *Role) error { return s.setRecord(roleKey(r.Name), r.encode()) }

func (s *step) setRecord(key, record []byte) error {
	if len(record) > MaxValueBytes {
		return ErrTooLarge
	}
	s.batch.Set(key, record)
	s.rights++
	return nil
}
