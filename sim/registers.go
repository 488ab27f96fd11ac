package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"maps"
	"slices"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
)

// Registers is the smallest Store: what is replicated where nobody brings
// something of their own.
type Registers struct {
	revision uint64
	applied  raft.Index
	keys     map[string]register
	sessions map[uint64]spoken
}

type register struct {
	value    string
	revision uint64
}

// spoken is the newest command of a session and what it was told.
type spoken struct {
	sequence uint64
	answer   answer
}

type answer struct {
	outcome  linear.Outcome
	revision uint64
}

// NewRegisters returns a Store without keys.
func NewRegisters() *Registers {
	return &Registers{keys: map[string]register{}, sessions: map[uint64]spoken{}}
}

// Open implements [Store].
func (s *Registers) Open() []byte { return []byte{'o'} }

// Session implements [Store]: a session is named by the command that opened it.
func (s *Registers) Session(result any) uint64 {
	index, _ := result.(raft.Index)
	return uint64(index)
}

// A command, after its first byte: session, sequence, condition, then key and value
// with their lengths. A transaction, after session and sequence: what any of its parts
// would be as a command of its own, without them.
const (
	ifAbsent    = ^uint64(0)
	always      = uint64(0)
	transaction = 't'
)

// Command implements [Store].
func (s *Registers) Command(session, sequence uint64, o *linear.Operation) []byte {
	b := appendCaller([]byte{o.Kind[0]}, session, sequence)
	return appendChange(b, o.IfMatch, o.IfAbsent, o.Key, o.Value)
}

// Transaction implements [Transactional].
func (s *Registers) Transaction(session, sequence uint64, parts []linear.Part) []byte {
	b := appendCaller([]byte{transaction}, session, sequence)
	for _, p := range parts {
		b = appendChange(append(b, p.Kind[0]), p.IfMatch, p.IfAbsent, p.Key, p.Value)
	}
	return b
}

func appendCaller(b []byte, session, sequence uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, session)
	return binary.LittleEndian.AppendUint64(b, sequence)
}

func appendChange(b []byte, condition uint64, absent bool, key, value string) []byte {
	if absent {
		condition = ifAbsent
	}
	b = binary.LittleEndian.AppendUint64(b, condition)
	b = appendText(b, key)
	return appendText(b, value)
}

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// Answer implements [Store].
func (s *Registers) Answer(_ *linear.Operation, result any) (linear.Outcome, uint64) {
	a, ok := result.(answer)
	if !ok {
		return linear.Unknown, 0
	}
	return a.outcome, a.revision
}

// Get implements [Store].
func (s *Registers) Get(key string) (string, uint64, uint64, bool) {
	r, found := s.keys[key]
	return r.value, r.revision, s.revision, found
}

// Look implements [Transactional].
func (s *Registers) Look(parts []linear.Part) uint64 {
	for i := range parts {
		p := &parts[i]
		r, found := s.keys[p.Key]
		p.Outcome, p.Value, p.Revision = linear.Absent, r.value, r.revision
		if found {
			p.Outcome = linear.OK
		}
	}
	return s.revision
}

// Apply implements [quorate.StateMachine].
func (s *Registers) Apply(batch []quorate.Command) error {
	for i := range batch {
		c := &batch[i]
		if c.Index <= s.applied {
			return fmt.Errorf("sim: command %d comes to a state that has had %d", c.Index, s.applied)
		}
		s.applied = c.Index
		r := reader{c.Data}
		if kind := r.byte(); kind == 'o' {
			s.sessions[uint64(c.Index)] = spoken{}
			c.Result = c.Index
		} else {
			c.Result = s.once(kind, r.number(), r.number(), &r)
		}
	}
	return nil
}

// once carries out a command of a session, unless it was already.
func (s *Registers) once(kind byte, session, sequence uint64, r *reader) answer {
	known, open := s.sessions[session]
	if session != 0 && open && sequence <= known.sequence {
		return known.answer
	}
	a := s.do(kind, r)
	if session != 0 && open {
		s.sessions[session] = spoken{sequence, a}
	}
	return a
}

// change is what a command does to one key.
type change struct {
	kind      byte
	condition uint64
	key       string
	value     string
}

func (s *Registers) do(kind byte, r *reader) answer {
	if kind != transaction {
		c := change{kind, r.number(), r.text(), r.text()}
		switch {
		case !s.holds(c):
			return answer{outcome: linear.Refused}
		case !s.carryOut(c):
			return answer{outcome: linear.Absent}
		}
		s.revision++
		return answer{linear.OK, s.revision}
	}
	var all []change
	for len(r.rest) > 0 {
		all = append(all, change{r.byte(), r.number(), r.text(), r.text()})
	}
	for _, c := range all {
		if !s.holds(c) {
			return answer{outcome: linear.Refused}
		}
	}
	changed := false
	for _, c := range all {
		changed = s.carryOut(c) || changed
	}
	if changed {
		s.revision++
	}
	return answer{linear.OK, s.revision}
}

// holds reports whether the condition of a change does.
func (s *Registers) holds(c change) bool {
	old, exists := s.keys[c.key]
	switch c.condition {
	case always:
		return true
	case ifAbsent:
		return !exists
	}
	return exists && old.revision == c.condition
}

// carryOut makes a change at the next revision, and reports whether there was
// anything to change.
func (s *Registers) carryOut(c change) bool {
	if c.kind != linear.Delete[0] {
		s.keys[c.key] = register{c.value, s.revision + 1}
		return true
	}
	_, exists := s.keys[c.key]
	delete(s.keys, c.key)
	return exists
}

// Hash implements [Store].
func (s *Registers) Hash() uint64 {
	h := crc64.New(crc64.MakeTable(crc64.ECMA))
	_, _ = h.Write(s.encode(nil)) // a hash takes everything
	return h.Sum64()
}

func (s *Registers) encode(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.revision)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s.keys)))
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		b = appendText(b, key)
		b = appendText(b, s.keys[key].value)
		b = binary.LittleEndian.AppendUint64(b, s.keys[key].revision)
	}
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		known := s.sessions[id]
		b = binary.LittleEndian.AppendUint64(b, id)
		b = binary.LittleEndian.AppendUint64(b, known.sequence)
		b = binary.LittleEndian.AppendUint64(b, known.answer.revision)
		b = appendText(b, string(known.answer.outcome))
	}
	return b
}

// Snapshot implements [quorate.StateMachine]; the view is a copy, since the state
// is small.
func (s *Registers) Snapshot() (quorate.View, error) {
	return view(s.encode(binary.LittleEndian.AppendUint64(nil, uint64(s.applied)))), nil
}

type view []byte

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}

func (v view) Close() error { return nil }

// Restore implements [quorate.StateMachine].
func (s *Registers) Restore(from io.Reader) error {
	data, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	r := reader{data}
	next := NewRegisters()
	next.applied, next.revision = raft.Index(r.number()), r.number()
	for n := r.number(); n > 0 && r.rest != nil; n-- {
		key := r.text()
		next.keys[key] = register{r.text(), r.number()}
	}
	for len(r.rest) > 0 {
		id, sequence, revision := r.number(), r.number(), r.number()
		next.sessions[id] = spoken{sequence, answer{linear.Outcome(r.text()), revision}}
	}
	if r.rest == nil {
		return errors.New("sim: a snapshot of registers that is cut short")
	}
	*s = *next
	return nil
}

func (s *Registers) clone() *Registers {
	c := *s
	c.keys, c.sessions = maps.Clone(s.keys), maps.Clone(s.sessions)
	return &c
}

func (s *Registers) String() string {
	return fmt.Sprintf("%d keys at revision %d", len(s.keys), s.revision)
}

// reader takes values off the front of bytes; beyond the end everything is zero and
// the rest is nil.
type reader struct{ rest []byte }

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest = nil
		return make([]byte, min(n, 8))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) number() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) text() string {
	n := binary.LittleEndian.Uint32(r.take(4))
	if int(n) > len(r.rest) {
		r.rest = nil
		return ""
	}
	return string(r.take(int(n)))
}

// DurableRegisters keep their state on a disk of their own.
type DurableRegisters struct {
	*Registers
	synced  *Registers
	written []*Registers // after each batch since
}

// NewDurableRegisters returns a Durable without keys.
func NewDurableRegisters() *DurableRegisters {
	return &DurableRegisters{Registers: NewRegisters(), synced: NewRegisters()}
}

// maxWritten bounds what a disk may keep back before it writes by itself.
const maxWritten = 64

// Apply implements [quorate.StateMachine].
func (d *DurableRegisters) Apply(batch []quorate.Command) error {
	if err := d.Registers.Apply(batch); err != nil {
		return err
	}
	if len(d.written) == maxWritten {
		d.synced, d.written = d.written[0], d.written[1:]
	}
	d.written = append(d.written, d.clone())
	return nil
}

// Restore implements [quorate.StateMachine].
func (d *DurableRegisters) Restore(from io.Reader) error {
	if err := d.Registers.Restore(from); err != nil {
		return err
	}
	d.written = append(d.written, d.clone())
	return nil
}

// Applied implements [quorate.DurableStateMachine].
func (d *DurableRegisters) Applied() raft.Index { return d.applied }

// Sync implements [quorate.DurableStateMachine].
func (d *DurableRegisters) Sync() error {
	d.synced, d.written = d.clone(), nil
	return nil
}

// Crash implements [Durable].
func (d *DurableRegisters) Crash(keep func(int) int) Durable {
	left := d.synced
	if n := len(d.written); n > 0 {
		if k := keep(n); k > 0 {
			left = d.written[k-1]
		}
	}
	return &DurableRegisters{Registers: left.clone(), synced: left}
}
