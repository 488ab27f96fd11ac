package kv

import (
	"bytes"
	"encoding/binary"
	"math"
)

// session is what is kept of a client between its commands; its answers are pairs
// of their own.
type session struct {
	used    int64  // when it was last used, in seconds of the machine's clock
	highest uint64 // sequence number applied
	owner   string // the user who opened it; empty: nobody said who it is
}

func (s session) encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 16+len(s.owner)), uint64(s.used))
	b = binary.AppendUvarint(b, s.highest)
	return append(b, s.owner...)
}

// oldest is the lowest sequence number that the window still covers.
func (s session) oldest() uint64 {
	if s.highest < SessionWindow {
		return 1
	}
	return s.highest - SessionWindow + 1
}

// once carries out a command of a session, unless it was carried out before.
func (s *step) once(c Command, out *Result) error {
	was, open, err := s.session(c.Session)
	if err != nil {
		return err
	}
	if !open {
		out.Code, out.Revision = ErrSessionExpired, s.revision
		return nil
	}
	if c.Sequence < was.oldest() {
		out.Code, out.Revision = ErrSequenceTooOld, s.revision
		return nil
	}
	key := answerKey(c.Session, c.Sequence)
	answer, err := s.batch.Get(key)
	if err != nil {
		return err
	}
	now := session{used: s.clock / 1000, highest: max(was.highest, c.Sequence), owner: was.owner}
	s.setSession(c.Session, was, now)
	if answer != nil {
		// CL1 §8 §6.3 d: the client could not know that its command had been
		// applied; applying it again would undo what others have written since.
		return decodeAnswer(key, answer, out)
	}
	if err := s.do(c, out); err != nil {
		return err
	}
	s.batch.Set(key, out.encodeAnswer())
	// What has left the window is forgotten.
	return s.clear(answerKey(c.Session, was.oldest()), answerKey(c.Session, now.oldest()))
}

// clear deletes the pairs from start up to end.
func (s *step) clear(start, end []byte) error {
	var keys [][]byte
	it := s.batch.Iterate()
	for ok := it.Seek(start); ok; ok = it.Next() {
		key, _ := it.Pair()
		if string(key) >= string(end) {
			break
		}
		keys = append(keys, append([]byte(nil), key...))
	}
	for _, key := range keys {
		s.batch.Delete(key)
	}
	return it.Close()
}

// openSession names the session after the command that opens it: no other has its
// index.
func (s *step) openSession(by Caller, out *Result) error {
	if s.sessions >= MaxSessions {
		if _, err := s.dropIdle(math.MaxInt64, 1); err != nil {
			return err
		}
	}
	if by.Name != "" {
		if err := s.dropOwned(by.Name); err != nil {
			return err
		}
	}
	id := SessionID(s.applied)
	now := session{used: s.clock / 1000, owner: by.Name}
	s.batch.Set(sessionKey(id), now.encode())
	for _, place := range now.places(id) {
		s.batch.Set(place, nil)
	}
	s.sessions++
	out.Session = id
	return nil
}

func (s *step) closeSession(do CloseSession, out *Result) error {
	was, open, err := s.session(do.Session)
	if err != nil {
		return err
	}
	if !open {
		out.Code = ErrSessionExpired
		return nil
	}
	out.Dropped = 1
	return s.dropSession(do.Session, was)
}

func (s *step) expireSessions(do ExpireSessions, out *Result) error {
	var err error
	out.Dropped, err = s.dropIdle(do.Before/1000, MaxSessions)
	return err
}

// dropIdle drops up to limit of the sessions last used before the given second,
// those unused for longest first.
func (s *step) dropIdle(before int64, limit int) (dropped int, err error) {
	var found []SessionID
	it := s.batch.Iterate()
	for ok := it.Seek([]byte{tableIdle}); ok && len(found) < limit; ok = it.Next() {
		key, _ := it.Pair()
		if key[0] != tableIdle {
			break
		}
		if len(key) != 17 {
			it.Close()
			return 0, damaged(key)
		}
		if int64(binary.BigEndian.Uint64(key[1:])) >= before {
			break
		}
		found = append(found, SessionID(binary.BigEndian.Uint64(key[9:])))
	}
	if err := it.Close(); err != nil {
		return 0, err
	}
	for _, id := range found {
		was, _, err := s.session(id)
		if err == nil {
			err = s.dropSession(id, was)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// dropOwned drops the session that a user has not used for longest, if there is room
// for no other: nobody's sessions make others' end.
func (s *step) dropOwned(owner string) error {
	prefix := escape([]byte{tableOwned}, []byte(owner))
	var first SessionID
	count := 0
	it := s.batch.Iterate()
	for ok := it.Seek(prefix); ok; ok = it.Next() {
		key, _ := it.Pair()
		numbers, mine := bytes.CutPrefix(key, prefix)
		if !mine {
			break
		}
		if len(numbers) != 16 {
			it.Close()
			return damaged(key)
		}
		if count++; count == 1 {
			first = SessionID(binary.BigEndian.Uint64(numbers[8:]))
		}
	}
	if err := it.Close(); err != nil || count < MaxUserSessions {
		return err
	}
	was, _, err := s.session(first)
	if err != nil {
		return err
	}
	return s.dropSession(first, was)
}

func (s *step) dropSession(id SessionID, was session) error {
	s.batch.Delete(sessionKey(id))
	for _, place := range was.places(id) {
		s.batch.Delete(place)
	}
	s.sessions--
	return s.clear(answerKey(id, 0), answerKey(id+1, 0))
}

func (s *step) session(id SessionID) (was session, open bool, err error) {
	key := sessionKey(id)
	b, err := s.reader.Get(key)
	if err != nil || b == nil {
		return session{}, false, err
	}
	d := decoder{data: b}
	was = session{used: d.int64(), highest: d.uvarint()}
	if d.code != OK {
		return session{}, false, damaged(key)
	}
	was.owner = string(d.data)
	return was, true, nil
}

// setSession writes what has changed. A busy session moves in the order of last
// use once a second, not with each command.
func (s *step) setSession(id SessionID, was, now session) {
	if now.used != was.used {
		for _, place := range was.places(id) {
			s.batch.Delete(place)
		}
		for _, place := range now.places(id) {
			s.batch.Set(place, nil)
		}
	}
	if now != was {
		s.batch.Set(sessionKey(id), now.encode())
	}
}

func sessionKey(id SessionID) []byte { return numbersKey(tableSessions, uint64(id)) }

func answerKey(id SessionID, sequence uint64) []byte {
	return numbersKey(tableAnswers, uint64(id), sequence)
}

// places are the pairs by which a session is found by its last use.
func (s session) places(id SessionID) [][]byte {
	all := [][]byte{numbersKey(tableIdle, uint64(s.used), uint64(id))}
	if s.owner != "" {
		mine := escape([]byte{tableOwned}, []byte(s.owner))
		mine = binary.BigEndian.AppendUint64(mine, uint64(s.used))
		all = append(all, binary.BigEndian.AppendUint64(mine, uint64(id)))
	}
	return all
}

// encodeAnswer is the result of a Txn as a session remembers it: what became of it,
// but no keys and values that it has read. They could be the whole store.
func (r *Result) encodeAnswer() []byte {
	b := append(make([]byte, 0, 16+16*len(r.Ops)), byte(r.Code))
	b = binary.AppendUvarint(b, uint64(r.Revision))
	return r.TxnResult.encode(b)
}

func (t *TxnResult) encode(b []byte) []byte {
	b = append(b, flag(t.Succeeded, 1))
	b = binary.AppendUvarint(b, uint64(len(t.Ops)))
	for _, op := range t.Ops {
		b = append(b, flag(op.Page != nil, answerPage)|flag(op.Txn != nil, answerTxn))
		b = binary.AppendUvarint(b, uint64(op.Revision))
		b = binary.AppendUvarint(b, uint64(op.Previous))
		b = binary.AppendUvarint(b, uint64(op.Deleted))
		if op.Page != nil {
			b = binary.AppendUvarint(b, uint64(op.Page.Count))
		}
		if op.Txn != nil {
			b = op.Txn.encode(b)
		}
	}
	return b
}

// What follows an operation in an answer.
const (
	answerPage byte = 1 << iota
	answerTxn
)

func decodeAnswer(key, b []byte, out *Result) error {
	d := decoder{data: b, left: MaxOps}
	*out = Result{Repeated: true, Code: Code(d.byte()), Revision: d.int64(), TxnResult: d.txnResult()}
	if d.end() != nil {
		return damaged(key)
	}
	return nil
}

func (r *decoder) txnResult() TxnResult {
	t := TxnResult{Succeeded: r.byte() == 1}
	if n := r.count(); n > 0 {
		t.Ops = make([]OpResult, n)
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		follows := r.byte()
		op.Revision, op.Previous, op.Deleted = r.int64(), r.int64(), r.int64()
		if follows&answerPage != 0 {
			op.Page = &Page{Revision: op.Revision, Count: r.int64()}
		}
		if follows&answerTxn != 0 {
			inner := r.txnResult()
			op.Txn = &inner
		}
	}
	return t
}
