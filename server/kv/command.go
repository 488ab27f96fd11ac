package kv

import "bytes"

// The largest of everything. The doors (HTTP, the client) check what they let in
// against their own, smaller limits; these hold on every node alike, so that a
// door that lets more through cannot make two nodes disagree.
const (
	MaxKeyBytes   = 4 << 10 // a key, or the end of a range
	MaxValueBytes = 3 << 19 // a value: 1.5 MiB
	MaxCompares   = 128     // compares of one transaction
	MaxOps        = 128     // operations of one branch of a transaction
	MaxSessions   = 10_000  // open sessions; one more drops the one unused for longest
	SessionWindow = 32      // answers that a session remembers: writes that may be under way at once
)

// SessionID names a session: the log index of the command that opened it. Zero
// is no session.
type SessionID uint64

// Command is one proposal to the machine.
type Command struct {
	// Session and Sequence make a repeated command count once (dissertation
	// §6.3). Sequences start at 1; a session may have SessionWindow of them under
	// way at once. Both are zero for a command without a session; only a Txn may
	// have one.
	Session  SessionID
	Sequence uint64

	// Millis is the proposer's clock in Unix milliseconds. It ages sessions and
	// decides nothing else.
	Millis int64

	Do Action
}

// Action is what a command does: [Txn], [OpenSession], [CloseSession],
// [ExpireSessions] or [Compact].
type Action interface{ action() }

// Txn carries out Then if every compare holds, otherwise Else, as one change of
// one revision.
type Txn struct {
	Compares []Compare
	Then     []Op
	Else     []Op
}

// OpenSession opens a session; the result names it.
type OpenSession struct{}

// CloseSession ends a session.
type CloseSession struct{ Session SessionID }

// ExpireSessions drops the sessions last used before the given time, in Unix
// milliseconds; a session's time is kept in whole seconds.
type ExpireSessions struct{ Before int64 }

// Compact drops the history that only revisions below Revision can see. Reads at
// Revision itself remain possible.
type Compact struct{ Revision int64 }

func (Txn) action()            {}
func (OpenSession) action()    {}
func (CloseSession) action()   {}
func (ExpireSessions) action() {}
func (Compact) action()        {}

// Target is the number of a key that a compare looks at. All are zero for a key
// that does not exist.
type Target uint8

// The targets.
const (
	CreateRevision Target = iota + 1
	ModRevision
	Version
)

// Relation is how the target must stand to the compare's value.
type Relation uint8

// The relations.
const (
	Equal Relation = iota + 1
	NotEqual
	Greater
	Less
)

// Compare is a condition on one key.
type Compare struct {
	Key      []byte
	Target   Target
	Relation Relation
	Value    int64
}

// Absent holds if the key does not exist (If-None-Match: *).
func Absent(key []byte) Compare { return Compare{key, Version, Equal, 0} }

// Exists holds if the key exists (If-Match: *).
func Exists(key []byte) Compare { return Compare{key, Version, Greater, 0} }

// ModifiedAt holds if the key exists and was last modified at the revision
// (If-Match: "revision").
func ModifiedAt(key []byte, revision int64) Compare {
	return Compare{key, ModRevision, Equal, revision}
}

// OpKind says what an operation does.
type OpKind uint8

// The kinds of operations.
const (
	OpPut OpKind = iota + 1
	OpDelete
)

// Op is one operation of a transaction.
type Op struct {
	Kind  OpKind
	Key   []byte
	End   []byte // of a delete: see NoEnd
	Value []byte // of a put
}

// NoEnd is the End of a range that has none: every key from its start on. An
// empty End means the one key that the range starts with; any other is the first
// key no longer in the range. (etcd's convention.)
var NoEnd = []byte{0}

// Put sets a key to a value.
func Put(key, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// Delete deletes a key.
func Delete(key []byte) Op { return Op{Kind: OpDelete, Key: key} }

// DeleteRange deletes the keys from start to end; see NoEnd.
func DeleteRange(start, end []byte) Op { return Op{Kind: OpDelete, Key: start, End: end} }

// PrefixEnd is the End of the range of all keys that begin with prefix.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return NoEnd
}

// Check says whether every node would carry the command out, or the [Code] with
// which all would refuse it. What depends on the state (a session, a revision) is
// not looked at.
func (c Command) Check() error {
	txn, isTxn := c.Do.(Txn)
	switch {
	case c.Do == nil || c.Millis < 0:
		return ErrMalformed
	case (c.Session == 0) != (c.Sequence == 0):
		return ErrMalformed
	case c.Session != 0 && !isTxn:
		return ErrMalformed
	case isTxn:
		return txn.check()
	}
	return nil
}

func (t Txn) check() error {
	if len(t.Compares) > MaxCompares {
		return ErrTooManyOps
	}
	for _, c := range t.Compares {
		if err := checkKey(c.Key); err != nil {
			return err
		}
		if c.Target < CreateRevision || c.Target > Version || c.Relation < Equal || c.Relation > Less || c.Value < 0 {
			return ErrMalformed
		}
	}
	if err := checkOps(t.Then); err != nil {
		return err
	}
	return checkOps(t.Else)
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > MaxKeyBytes:
		return ErrTooLarge
	}
	return nil
}

func checkOps(ops []Op) error {
	if len(ops) > MaxOps {
		return ErrTooManyOps
	}
	for i, op := range ops {
		if err := op.check(); err != nil {
			return err
		}
		// Within one revision a key has one version: a second change of it would
		// silently undo the first, and its version would count what no one can read.
		for _, other := range ops[:i] {
			if op.overlaps(other) {
				return ErrDuplicateKey
			}
		}
	}
	return nil
}

func (o Op) check() error {
	if err := checkKey(o.Key); err != nil {
		return err
	}
	switch {
	case o.Kind == OpPut && len(o.End) == 0:
		if len(o.Value) > MaxValueBytes {
			return ErrTooLarge
		}
	case o.Kind == OpDelete && len(o.Value) == 0:
		if len(o.End) > MaxKeyBytes {
			return ErrTooLarge
		}
	default:
		return ErrMalformed
	}
	return nil
}

// overlaps reports whether both could change the same key. Two deletes may: the
// second finds nothing left.
func (o Op) overlaps(other Op) bool {
	switch {
	case o.Kind == OpPut && other.Kind == OpPut:
		return bytes.Equal(o.Key, other.Key)
	case o.Kind == OpPut:
		return inRange(o.Key, other.Key, other.End)
	case other.Kind == OpPut:
		return inRange(other.Key, o.Key, o.End)
	}
	return false
}

// inRange reports whether key lies in the range from start to end; see NoEnd.
func inRange(key, start, end []byte) bool {
	switch {
	case len(end) == 0:
		return bytes.Equal(key, start)
	case bytes.Equal(end, NoEnd):
		return bytes.Compare(key, start) >= 0
	}
	return bytes.Compare(key, start) >= 0 && bytes.Compare(key, end) < 0
}
