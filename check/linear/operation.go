package linear

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what an operation does to its key.
type Kind string

// The operations.
const (
	Put    Kind = "put"
	Get    Kind = "get"
	Delete Kind = "delete"
)

// Outcome is what its client was told.
type Outcome string

// The outcomes. An operation that was certainly not carried out is no part of a
// history.
const (
	OK      Outcome = "ok"
	Absent  Outcome = "absent"  // a get found no key, or a delete nothing to delete
	Refused Outcome = "refused" // the condition of a write did not hold
	Unknown Outcome = "unknown" // nobody knows; the operation has no end
	Done    Outcome = "done"    // carried out; with what answer is left out (see shrink.go)
)

// Operation is one call on one key and what came of it. Times are nanoseconds of
// one clock that never goes back; zero is any moment. A condition names only a
// revision that the history has told before: in the answer to a put or a get.
type Operation struct {
	Client   int     `json:"client"` // calls of one client do not overlap
	Kind     Kind    `json:"op"`
	Key      string  `json:"key"`
	Value    string  `json:"value,omitempty"` // written, or read; no two puts of a key write the same
	Call     int64   `json:"call_ns"`
	Return   int64   `json:"return_ns,omitempty"` // meaningless if Unknown
	Outcome  Outcome `json:"outcome"`
	IfMatch  uint64  `json:"if_match,omitempty"`  // a condition, if not zero: the key was last changed at this revision
	IfAbsent bool    `json:"if_absent,omitempty"` // a condition: there is no such key
	Revision uint64  `json:"revision,omitempty"`  // of the write; for a get, of the last change of the key; zero: not told
	Store    uint64  `json:"store,omitempty"`     // a get: the store's revision; zero: not told
	Endpoint string  `json:"endpoint,omitempty"`  // who was asked, for people
}

// check returns an error for what is no operation.
func (o *Operation) check() error {
	switch {
	case o.Kind != Put && o.Kind != Get && o.Kind != Delete:
		return fmt.Errorf("the operation %q is none of put, get, delete", o.Kind)
	case o.Outcome != Unknown && o.Return < o.Call:
		return fmt.Errorf("%v returned before it was called", o)
	case o.Kind == Get && (o.Outcome == Refused || o.Outcome == Done || o.IfMatch != 0 || o.IfAbsent):
		return fmt.Errorf("%v is no read", o)
	case o.Kind == Put && o.Outcome == Absent:
		return fmt.Errorf("%v: a put cannot find the key absent", o)
	case o.Outcome == Refused && !o.conditional():
		return fmt.Errorf("%v was refused without a condition", o)
	}
	switch o.Outcome {
	case OK, Absent, Refused, Unknown, Done:
		return nil
	}
	return fmt.Errorf("the outcome %q is none of ok, absent, refused, unknown", o.Outcome)
}

func (o *Operation) conditional() bool { return o.IfMatch != 0 || o.IfAbsent }

// changes reports whether the operation may have changed its key.
func (o *Operation) changes() bool {
	return o.Kind != Get && o.Outcome != Refused && o.Outcome != Absent
}

// String says the operation in one line: put k "v" if at 7 -> revision 9.
func (o *Operation) String() string {
	var b strings.Builder
	b.WriteString(string(o.Kind) + " " + o.Key)
	if o.Kind == Put {
		fmt.Fprintf(&b, " %q", o.Value)
	}
	if o.IfMatch != 0 {
		fmt.Fprintf(&b, " if at revision %d", o.IfMatch)
	}
	if o.IfAbsent {
		b.WriteString(" if absent")
	}
	b.WriteString(" -> ")
	switch {
	case o.Outcome == OK && o.Kind == Get:
		fmt.Fprintf(&b, "%q of revision %d", o.Value, o.Revision)
	case o.Outcome == OK:
		fmt.Fprintf(&b, "revision %d", o.Revision)
	default:
		b.WriteString(string(o.Outcome))
	}
	if o.Kind == Get && o.Store != 0 {
		fmt.Fprintf(&b, ", store at %d", o.Store)
	}
	return b.String()
}

// Text writes a history for people, one operation a line, in the order of calls.
func Text(history []Operation) string {
	var b strings.Builder
	begin := int64(0)
	if len(history) > 0 {
		begin = history[0].Call
	}
	at := func(ns int64) string { return fmt.Sprintf("%10.3f ms", float64(ns-begin)/float64(time.Millisecond)) }
	for i := range history {
		o := &history[i]
		end := strings.Repeat(" ", 9) + "open "
		if o.Outcome != Unknown {
			end = at(o.Return)
		}
		fmt.Fprintf(&b, "%s .. %s  client %-3d %v", at(o.Call), end, o.Client, o)
		if o.Endpoint != "" {
			b.WriteString("  (" + o.Endpoint + ")")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// errValues is why a history cannot be judged exactly.
var errValues = errors.New("two puts of one key write the same value; each needs a value of its own, so that reads say which they saw")
