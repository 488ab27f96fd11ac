package session

import (
	"bufio"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/raft"
)

// table is the sessions that are open.
type table struct {
	limit int // one more than this drops the one unused for longest
	byID  map[ID]*list.Element
	order list.List // of *state, those used last at the end
}

// state is what is kept of a client between its commands.
type state struct {
	id      ID
	first   uint64             // what was answered below it is forgotten
	answers map[uint64]*answer // by number
}

// answer is what a command came to.
type answer struct {
	data  []byte
	known bool // false while the command is on its way through the machine below
}

func newTable(limit int) *table { return &table{limit: limit, byID: map[ID]*list.Element{}} }

func (t *table) open(at raft.Index) ID {
	if t.order.Len() >= t.limit {
		t.drop(t.order.Front().Value.(*state).id)
	}
	t.add(&state{id: at, first: 1, answers: map[uint64]*answer{}})
	return at
}

func (t *table) add(s *state) { t.byID[s.id] = t.order.PushBack(s) }

func (t *table) drop(id ID) {
	if at, open := t.byID[id]; open {
		t.order.Remove(at)
		delete(t.byID, id)
	}
}

// use returns a session, which is now the one used last; nil if it is not open.
func (t *table) use(id ID) *state {
	at, found := t.byID[id]
	if !found {
		return nil
	}
	t.order.MoveToBack(at)
	return at.Value.(*state)
}

// forget drops the answers that the client has.
func (s *state) forget(first uint64) {
	for ; s.first < first && len(s.answers) > 0; s.first++ {
		delete(s.answers, s.first)
	}
	s.first = max(s.first, first)
}

const version = 1

func (t *table) encode() []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(t.order.Len()))
	for at := t.order.Front(); at != nil; at = at.Next() {
		s := at.Value.(*state)
		b = binary.AppendUvarint(b, uint64(s.id))
		b = binary.AppendUvarint(b, s.first)
		b = binary.AppendUvarint(b, uint64(len(s.answers)))
		for _, number := range slices.Sorted(maps.Keys(s.answers)) {
			data := s.answers[number].data
			b = binary.AppendUvarint(b, number)
			b = binary.AppendUvarint(b, uint64(len(data)))
			b = append(b, data...)
		}
	}
	return b
}

var errSnapshot = errors.New("session: the snapshot does not begin with sessions: was it written by a machine that this package did not wrap?")

// decodeTable reads what encode has written, and not a byte more.
func decodeTable(r *bufio.Reader, limit int) (*table, error) {
	v, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if v != version {
		return nil, errSnapshot
	}
	d, t := decoder{r: r}, newTable(limit)
	for range d.number() {
		s := &state{id: ID(d.number()), first: d.number(), answers: map[uint64]*answer{}}
		answers := d.number()
		if answers > Window {
			return nil, errSnapshot
		}
		for range answers {
			s.answers[d.number()] = &answer{data: d.bytes(), known: true}
		}
		if d.err != nil {
			return nil, d.err
		}
		t.add(s)
	}
	return t, d.err
}

// decoder reads numbers and bytes until the first error; what it returns then is zero.
type decoder struct {
	r   *bufio.Reader
	err error
}

func (d *decoder) number() (v uint64) {
	if d.err == nil {
		v, d.err = binary.ReadUvarint(d.r)
	}
	if d.err != nil {
		return 0
	}
	return v
}

// bytes does not trust the length before it has seen as many.
func (d *decoder) bytes() []byte {
	n := int64(d.number())
	if d.err != nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(d.r, n))
	if err == nil && int64(len(data)) != n {
		err = fmt.Errorf("session: an answer of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	d.err = err
	return data
}
