package kv

// warrant is what a caller may do, as the state has it.
type warrant struct {
	all    bool
	rights []Right
}

// warrant finds out what a caller may do with keys.
func (m meta) warrant(r Reader, by Caller) (warrant, error) {
	switch {
	case !m.guarded || by.node:
		return warrant{all: true}, nil
	case by.Name == "":
		return warrant{}, ErrNoUser
	case by.Revision < m.rights:
		// What was found out about the caller may not be true any more.
		return warrant{}, ErrOldRights
	}
	user, err := userOf(r, by.Name)
	switch {
	case err != nil:
		return warrant{}, err
	case user == nil:
		return warrant{}, ErrDenied
	case user.isRoot():
		return warrant{all: true}, nil
	}
	var w warrant
	for _, name := range user.Roles {
		role, err := roleOf(r, name)
		if err != nil {
			return warrant{}, err
		}
		if role != nil {
			w.rights = append(w.rights, role.Rights...)
		}
	}
	return w, nil
}

func (w warrant) check(access Access, key, end []byte) error {
	if w.all || allowed(w.rights, access, key, end) {
		return nil
	}
	return ErrDenied
}

// known refuses who has not said who it is.
func (m meta) known(by Caller) error {
	if m.guarded && !by.node && by.Name == "" {
		return ErrNoUser
	}
	return nil
}

// admin refuses who may not do everything.
func (m meta) admin(r Reader, by Caller) error {
	if !m.guarded || by.node {
		return nil
	}
	if err := m.known(by); err != nil {
		return err
	}
	user, err := userOf(r, by.Name)
	switch {
	case err != nil:
		return err
	case user == nil:
		return ErrUserNotFound
	case !user.isRoot():
		return ErrDenied
	}
	return nil
}

// permit refuses a command that its caller may not give. Whatever is not named here
// is for root alone.
func (s *step) permit(c Command) error {
	if !s.guarded {
		return nil
	}
	switch do := c.Do.(type) {
	case Txn:
		w, err := s.warrant(s.reader, c.By)
		if err == nil {
			err = w.checkTxn(s.reader, do)
		}
		if err == nil && c.Session != 0 {
			err = s.permitSession(c.By, c.Session)
		}
		return err
	case CloseSession:
		return s.permitSession(c.By, do.Session)
	case RevokeLease:
		return s.permitLease(s.reader, c.By, MayWrite, do.ID)
	case GrantLease, OpenSession:
		return s.known(c.By)
	}
	return s.admin(s.reader, c.By)
}

// permitSession hides a session from whoever has not opened it. To use up its numbers
// would have writes of its owner answered as done that never were.
func (s *step) permitSession(by Caller, id SessionID) error {
	if err := s.known(by); err != nil {
		return err
	}
	was, open, err := s.session(id)
	if err == nil && open && was.owner != by.Name {
		err = ErrSessionExpired
	}
	return err
}

// permitLease refuses who may not do something with each key attached to a lease.
func (m meta) permitLease(r Reader, by Caller, access Access, id LeaseID) error {
	if err := m.known(by); err != nil {
		return err
	}
	switch err := m.admin(r, by); err {
	case nil:
		return nil
	case ErrDenied, ErrUserNotFound:
	default:
		return err
	}
	w, err := m.warrant(r, by)
	if err != nil && err != ErrDenied {
		return err
	}
	return w.checkLease(r, access, id)
}

func (w warrant) checkLease(r Reader, access Access, id LeaseID) error {
	if w.all {
		return nil
	}
	keys, err := attached(r, id)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := w.check(access, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// checkTxn looks at both branches, whichever it will be, and at those within.
func (w warrant) checkTxn(r Reader, t Txn) error {
	if w.all {
		return nil
	}
	for _, c := range t.Compares {
		if err := w.check(MayRead, c.Key, c.End); err != nil {
			return err
		}
	}
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			if err := w.checkOp(r, op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w warrant) checkOp(r Reader, op Op) error {
	switch op := op.(type) {
	case Query:
		return w.check(MayRead, op.Start, op.End)
	case Put:
		return w.checkPut(r, op)
	case Delete:
		if err := w.check(MayWrite, op.Key, op.End); err != nil || !op.Previous {
			return err
		}
		return w.check(MayRead, op.Key, op.End)
	case Txn:
		return w.checkTxn(r, op)
	}
	return ErrDenied
}

func (w warrant) checkPut(r Reader, p Put) error {
	if err := w.check(MayWrite, p.Key, nil); err != nil {
		return err
	}
	if p.Lease != 0 {
		// Who could not revoke the lease must not attach a key to it either.
		if err := w.checkLease(r, MayWrite, p.Lease); err != nil {
			return err
		}
	}
	if p.Previous {
		return w.check(MayRead, p.Key, nil)
	}
	return nil
}
