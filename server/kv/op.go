package kv

import "bytes"

// Txn carries out Then if every compare holds, otherwise Else, as one change of
// one revision. It is an operation too: compares of a nested transaction look at
// the keys as they were before the outermost one began.
type Txn struct {
	Compares []Compare
	Then     []Op
	Else     []Op
}

// Target is what of a key a compare looks at, or a query sorts by.
type Target uint8

// The targets. Of a key that does not exist all numbers are zero, and a compare of
// its value never holds.
const (
	CreateRevision Target = iota + 1
	ModRevision
	Version
	Value
	Lease
	Key // only to sort by
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

// Compare is a condition on one key, or on each of those in a range. Of a range
// without keys it looks at one key that does not exist.
type Compare struct {
	Key      []byte
	End      []byte // see NoEnd
	Target   Target
	Relation Relation
	Number   int64  // unless the target is Value
	Bytes    []byte // if it is
}

// Absent holds if the key does not exist (If-None-Match: *).
func Absent(key []byte) Compare { return Compare{Key: key, Target: Version, Relation: Equal} }

// Exists holds if the key exists (If-Match: *).
func Exists(key []byte) Compare { return Compare{Key: key, Target: Version, Relation: Greater} }

// ModifiedAt holds if the key exists and was last modified at the revision
// (If-Match: "revision").
func ModifiedAt(key []byte, revision int64) Compare {
	return Compare{Key: key, Target: ModRevision, Relation: Equal, Number: revision}
}

// Op is one operation of a transaction: a [Put], a [Delete], a [Query] or a nested
// [Txn]. A query at no revision sees what the operations before it have done.
type Op interface {
	// check returns what the operation may change, or why it is refused.
	check() ([]claim, error)
	encode(b []byte) []byte
	// room is about how many bytes encode appends.
	room() int
}

// Put sets a key.
type Put struct {
	Key       []byte
	Value     []byte
	Lease     LeaseID // what the key is attached to from now on
	Previous  bool    // answer with what it replaces
	KeepValue bool    // the value stays; the key must exist, and Value be empty
	KeepLease bool    // the lease stays; the key must exist, and Lease be zero
}

// Delete deletes a key, or the keys of a range; see NoEnd.
type Delete struct {
	Key      []byte
	End      []byte
	Previous bool // answer with what was deleted
}

// NoEnd is the End of a range that has none: every key from its start on. An
// empty End means the one key that the range starts with; any other is the first
// key no longer in the range. (etcd's convention.)
var NoEnd = []byte{0}

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

// Reads reports whether the transaction changes nothing, whatever its compares
// come to; [Machine.Read] answers such a one.
func (t Txn) Reads() bool {
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			switch op := op.(type) {
			case Query:
			case Txn:
				if !op.Reads() {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// Check returns the [Code] with which every node would refuse the transaction,
// whatever the state.
func (t Txn) Check() error {
	// Before anything is compared with anything else: it bounds the work.
	if t.size() > MaxOps {
		return ErrTooManyOps
	}
	_, err := t.check()
	return err
}

// size counts the compares and operations, nested ones included.
func (t Txn) size() int {
	n := len(t.Compares) + len(t.Then) + len(t.Else)
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			if nested, ok := op.(Txn); ok {
				n += nested.size()
			}
		}
	}
	return n
}

func (t Txn) check() ([]claim, error) {
	for _, c := range t.Compares {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	// Only one of the branches is carried out, so they need not agree.
	then, err := checkOps(t.Then)
	if err != nil {
		return nil, err
	}
	otherwise, err := checkOps(t.Else)
	return append(then, otherwise...), err
}

func (c Compare) check() error {
	switch {
	case c.Target < CreateRevision || c.Target > Lease || c.Relation < Equal || c.Relation > Less:
		return ErrMalformed
	case c.Target == Value && c.Number != 0 || c.Target != Value && len(c.Bytes) != 0:
		return ErrMalformed
	case len(c.Bytes) > MaxValueBytes:
		return ErrTooLarge
	}
	return checkRange(c.Key, c.End)
}

func checkRange(key, end []byte) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > MaxKeyBytes || len(end) > MaxKeyBytes:
		return ErrTooLarge
	}
	return nil
}

func checkOps(ops []Op) (all []claim, err error) {
	for _, op := range ops {
		if op == nil {
			return nil, ErrMalformed
		}
		mine, err := op.check()
		if err != nil {
			return nil, err
		}
		for _, c := range mine {
			// Within one revision a key has one version: a second change of it would
			// silently undo the first, and its version would count what no one can read.
			for _, other := range all {
				if c.overlaps(other) {
					return nil, ErrDuplicateKey
				}
			}
		}
		all = append(all, mine...)
	}
	return all, nil
}

func (p Put) check() ([]claim, error) {
	switch {
	case p.KeepValue && len(p.Value) != 0 || p.KeepLease && p.Lease != 0:
		return nil, ErrMalformed
	case len(p.Value) > MaxValueBytes:
		return nil, ErrTooLarge
	}
	return []claim{{key: p.Key, put: true}}, checkRange(p.Key, nil)
}

func (d Delete) check() ([]claim, error) {
	return []claim{{key: d.Key, end: d.End}}, checkRange(d.Key, d.End)
}

func (q Query) check() ([]claim, error) {
	if q.By > Key || q.By == Lease || q.Order > Descending || q.Limit < 0 || q.Bytes < 0 {
		return nil, ErrMalformed
	}
	return nil, checkRange(q.Start, q.End)
}

// claim is what an operation may change.
type claim struct {
	key, end []byte
	put      bool
}

// overlaps reports whether both could change the same key. Two deletes may: the
// second finds nothing left.
func (c claim) overlaps(other claim) bool {
	switch {
	case c.put && other.put:
		return bytes.Equal(c.key, other.key)
	case c.put:
		return inRange(c.key, other.key, other.end)
	case other.put:
		return inRange(other.key, c.key, c.end)
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
