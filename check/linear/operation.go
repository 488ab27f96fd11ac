package linear

import (
	"errors"
	"fmt"
	"slices"
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
	Txn    Kind = "txn" // several of them, on a key each, at one moment: see Part
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

// Operation is one call on one key, or a transaction on several, and what came of it. Times are nanoseconds of
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
	Parts    []Part  `json:"parts,omitempty"`     // of a transaction, which has no key, value or condition of its own
}

// Part is what a transaction does to one key. Either all of it is carried out, or,
// if the condition of any part does not hold, nothing. What is written has the
// transaction's revision.
type Part struct {
	Kind     Kind    `json:"op"` // no Txn
	Key      string  `json:"key"`
	Value    string  `json:"value,omitempty"`   // as in an Operation
	Outcome  Outcome `json:"outcome,omitempty"` // of a get that was carried out: OK or Absent
	IfMatch  uint64  `json:"if_match,omitempty"`
	IfAbsent bool    `json:"if_absent,omitempty"`
	Revision uint64  `json:"revision,omitempty"` // of a get: of the last change of the key
}

// parts are what the operation does to which keys.
func (o *Operation) parts() []Part {
	if o.Kind == Txn {
		return o.Parts
	}
	return []Part{{o.Kind, o.Key, o.Value, o.Outcome, o.IfMatch, o.IfAbsent, o.Revision}}
}

// check returns an error for what is no operation. An answer that no store gives is
// one all the same, and contradicts.
func (o *Operation) check() error {
	if o.Outcome != Unknown && o.Return < o.Call {
		return fmt.Errorf("%v returned before it was called", o)
	}
	if o.Kind == Get && (o.Outcome == Refused || o.Outcome == Done || o.conditional()) {
		return fmt.Errorf("%v is no read", o)
	}
	if o.Kind == Txn && (len(o.Parts) == 0 || o.Key != "" || o.Value != "" || o.IfMatch != 0 || o.IfAbsent) {
		return fmt.Errorf("%v: a transaction has parts, and a key, a value or a condition only in them", o)
	}
	keys := map[string]bool{}
	for _, p := range o.parts() {
		switch {
		case p.Kind != Put && p.Kind != Get && p.Kind != Delete:
			return fmt.Errorf("the operation %q is none of put, get, delete", p.Kind)
		case keys[p.Key]:
			return fmt.Errorf("%v: a transaction has one part for each key", o)
		}
		keys[p.Key] = true
	}
	switch o.Outcome {
	case OK, Absent, Refused, Unknown, Done:
		return nil
	}
	return fmt.Errorf("the outcome %q is none of ok, absent, refused, unknown", o.Outcome)
}

func (o *Operation) conditional() bool {
	return slices.ContainsFunc(o.parts(), func(p Part) bool { return p.IfMatch != 0 || p.IfAbsent })
}

// reads reports whether the operation changes nothing whatever becomes of it.
func (o *Operation) reads() bool {
	return !slices.ContainsFunc(o.parts(), func(p Part) bool { return p.Kind != Get })
}

// changes reports whether the operation may have changed its keys.
func (o *Operation) changes() bool {
	return !o.reads() && o.Outcome != Refused && o.Outcome != Absent
}

// String says the operation in one line: put k "v" if at revision 7 -> revision 9.
func (o *Operation) String() string {
	var b strings.Builder
	if o.Kind == Txn {
		b.WriteString("txn")
	}
	for i, p := range o.parts() {
		if o.Kind == Txn {
			b.WriteString([]string{", ", " "}[max(0, 1-i)])
		}
		p.write(&b, o.Kind == Txn && o.Outcome == OK)
	}
	b.WriteString(" -> ")
	switch {
	case o.Outcome == OK && o.Kind == Get:
		fmt.Fprintf(&b, "%q of revision %d", o.Value, o.Revision)
	case o.Outcome == OK && !o.reads():
		fmt.Fprintf(&b, "revision %d", o.Revision)
	default:
		b.WriteString(string(o.Outcome))
	}
	if o.Store != 0 {
		fmt.Fprintf(&b, ", store at %d", o.Store)
	}
	return b.String()
}

// write says what is done to the key, and what was read if that is told in parts.
func (p *Part) write(b *strings.Builder, told bool) {
	b.WriteString(string(p.Kind) + " " + p.Key)
	if p.Kind == Put {
		fmt.Fprintf(b, " %q", p.Value)
	}
	if p.IfMatch != 0 {
		fmt.Fprintf(b, " if at revision %d", p.IfMatch)
	}
	if p.IfAbsent {
		b.WriteString(" if absent")
	}
	switch {
	case !told || p.Kind != Get:
	case p.Outcome == OK:
		fmt.Fprintf(b, " %q of revision %d", p.Value, p.Revision)
	default:
		b.WriteString(" " + string(p.Outcome))
	}
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
