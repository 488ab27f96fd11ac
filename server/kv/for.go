package kv

// Reads reads the store on somebody's behalf: what the caller may not see is refused
// as of the same moment that is read.
type Reads struct {
	machine *Machine
	by      Caller
}

// For lets somebody read. The errors of all methods are a [Code] or the store's.
func (m *Machine) For(by Caller) Reads { return Reads{m, by} }

// Range is [Machine.Range].
func (a Reads) Range(q Query) (Page, error) { return a.find(q, nil) }

// Visit is Range for who does not keep the keys: each is shown as it is found, and valid
// only until show returns. The page has none of them.
func (a Reads) Visit(q Query, show func(*KV)) (Page, error) { return a.find(q, show) }

func (a Reads) find(q Query, show func(*KV)) (page Page, err error) {
	err = a.see(func(at meta, r Reader) error {
		page.Revision = at.revision
		w, err := at.warrant(r, a.by)
		if err == nil {
			err = w.check(MayRead, q.Start, q.End)
		}
		if err == nil {
			a.machine.counted(Tally{Ranges: 1})
			page, err = at.find(r, q, show)
		}
		return err
	})
	return page, err
}

// Get is [Machine.Get].
func (a Reads) Get(key []byte, revision int64) (*KV, int64, error) {
	if len(key) == 0 {
		return nil, 0, ErrEmptyKey
	}
	page, err := a.Range(Query{Start: key, Revision: revision})
	if err != nil || len(page.KVs) == 0 {
		return nil, page.Revision, err
	}
	return &page.KVs[0], page.Revision, nil
}

// Read is [Machine.Read].
func (a Reads) Read(t Txn) (*Result, error) {
	if !t.Reads() {
		return nil, ErrMalformed
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	out := &Result{}
	err := a.see(func(at meta, r Reader) error {
		w, err := at.warrant(r, a.by)
		if err == nil {
			err = w.checkTxn(r, t)
		}
		if err != nil {
			return err
		}
		s := &step{meta: at, reader: r}
		err = s.txn(t, out)
		a.machine.counted(s.tally)
		out.Revision = at.revision
		return err
	})
	return out, err
}

// Permit refuses who may not access a range of keys.
func (a Reads) Permit(access Access, key, end []byte) error {
	return a.see(func(at meta, r Reader) error {
		w, err := at.warrant(r, a.by)
		if err != nil {
			return err
		}
		return w.check(access, key, end)
	})
}

// PermitLeases refuses who may not access each of the keys attached to leases.
func (a Reads) PermitLeases(access Access, ids ...LeaseID) error {
	return a.see(func(at meta, r Reader) error {
		if !at.guarded {
			return nil
		}
		for _, id := range ids {
			if err := at.permitLease(r, a.by, access, id); err != nil {
				return err
			}
		}
		return at.known(a.by)
	})
}

// LeaseKeys is [Machine.LeaseKeys], to who may read each of the keys.
func (a Reads) LeaseKeys(id LeaseID) (keys [][]byte, err error) {
	err = a.see(func(at meta, r Reader) error {
		if at.guarded {
			if err := at.permitLease(r, a.by, MayRead, id); err != nil {
				return err
			}
		}
		keys, err = attached(r, id)
		return err
	})
	return keys, err
}

// Known refuses who has not said who it is, while rights are enforced.
func (a Reads) Known() error {
	return a.see(func(at meta, _ Reader) error { return at.known(a.by) })
}

// Admin refuses who may not do everything.
func (a Reads) Admin() error {
	return a.see(func(at meta, r Reader) error { return at.admin(r, a.by) })
}

// User returns a user, to itself or to who may do everything.
func (a Reads) User(name string) (user *User, err error) {
	err = a.see(func(at meta, r Reader) error {
		if err := at.admin(r, a.by); err != nil && name != a.by.Name {
			return err
		}
		if user, err = userOf(r, name); err == nil && user == nil {
			err = ErrUserNotFound
		}
		return err
	})
	return user, err
}

// Role returns a role, to who has it or may do everything.
func (a Reads) Role(name string) (role *Role, err error) {
	err = a.see(func(at meta, r Reader) error {
		if refused := at.admin(r, a.by); refused != nil {
			self, err := userOf(r, a.by.Name)
			if err != nil {
				return err
			}
			if self == nil || !self.has(name) {
				return refused
			}
		}
		if role, err = roleOf(r, name); err == nil && role == nil {
			err = ErrRoleNotFound
		}
		return err
	})
	return role, err
}

// Users returns all users, in order of their names, to who may do everything.
func (a Reads) Users() (all []*User, err error) {
	err = a.see(func(at meta, r Reader) error {
		if err := at.admin(r, a.by); err != nil {
			return err
		}
		all, err = usersOf(r)
		return err
	})
	return all, err
}

// Roles returns all roles, likewise.
func (a Reads) Roles() (all []*Role, err error) {
	err = a.see(func(at meta, r Reader) error {
		if err := at.admin(r, a.by); err != nil {
			return err
		}
		all, err = rolesOf(r)
		return err
	})
	return all, err
}

// TokenKey returns the key that StartGuard came with, nil while rights are not
// enforced, and the revision of the rights. It is for this node only.
func (m *Machine) TokenKey() (key []byte, rights int64, err error) {
	err = m.For(ThisNode).see(func(at meta, r Reader) error {
		rights = at.rights
		if at.guarded {
			key, err = r.Get(tokenKey)
		}
		return err
	})
	return key, rights, err
}

// Permits refuses a command that its caller may not give, as Apply would if it came
// next.
func (m *Machine) Permits(c Command) error {
	return m.For(c.By).see(func(at meta, r Reader) error {
		return (&step{meta: at, reader: r}).permit(c)
	})
}

// see looks at the store as of one moment.
func (a Reads) see(look func(at meta, r Reader) error) error {
	view := a.machine.store.View()
	defer view.Close()
	at, err := readMeta(view)
	if err != nil {
		return err
	}
	return look(at, view)
}
