package kv

import "encoding/binary"

// space is what keys take and may take, and what is amiss.
type space struct {
	bytes  int64 // see State.Bytes
	quota  int64 // of them; zero: none
	alarms int64 // how many were raised by hand
	full   bool  // bytes have passed the quota
}

// versionBytes is what a version counts for besides its key and value. It takes
// about that much: three pairs hold it together.
const versionBytes = 64

// weight is what a version of a key counts for.
func weight(key []byte, value int64) int64 { return int64(len(key)) + value + versionBytes }

// judge raises the alarm when the quota is passed and ends it when a tenth of the
// quota is free: less would let it come and go with every write.
func (s *space) judge() {
	switch {
	case s.quota > 0 && s.bytes > s.quota:
		s.full = true
	case s.quota == 0 || s.bytes <= s.quota-s.quota/10:
		s.full = false
	}
}

// AlarmKind is what an alarm is about.
type AlarmKind byte

// The kinds. Their numbers are etcd's.
const (
	NoSpace AlarmKind = iota + 1 // nothing is taken that makes the store grow
	Corrupt                      // nothing is taken at all
)

// Alarm says that a member must not be written to, and so none may.
type Alarm struct {
	Member uint64
	Kind   AlarmKind
}

// admit refuses an action that an alarm forbids. What makes room, or ends the
// alarm, is never among them.
func (s *step) admit(action Action) error {
	if !s.space.full && s.space.alarms == 0 {
		return nil
	}
	var kinds [Corrupt + 1]bool
	alarms, err := readAlarms(s.reader)
	if err != nil {
		return err
	}
	for _, a := range alarms {
		kinds[a.Kind] = true
	}
	switch {
	case kinds[Corrupt] && writes(action):
		return ErrCorrupt
	case (s.space.full || kinds[NoSpace]) && grows(action):
		return ErrNoSpace
	}
	return nil
}

// grows reports whether an action may make the store larger for long.
func grows(action Action) bool {
	switch do := action.(type) {
	case Txn:
		return do.puts()
	case GrantLease:
		return true
	}
	return false
}

// writes reports whether an action is of those that an alarm of corruption forbids:
// all that have to do with keys.
func writes(action Action) bool {
	switch action.(type) {
	case Txn, Compact, GrantLease, RevokeLease:
		return true
	}
	return false
}

// puts reports whether there is a put in the transaction, in whichever branch.
func (t Txn) puts() bool {
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			switch op := op.(type) {
			case Put:
				return true
			case Txn:
				if op.puts() {
					return true
				}
			}
		}
	}
	return false
}

func (s *step) setAlarm(do SetAlarm, out *Result) error {
	pair := alarmKey(do.Alarm)
	was, err := s.reader.Get(pair)
	switch {
	case err != nil:
		return err
	case do.On && was == nil && s.space.alarms >= MaxAlarms:
		return ErrTooManyAlarms
	case do.On && was == nil:
		s.batch.Set(pair, nil)
		s.space.alarms++
	case !do.On && was != nil:
		s.batch.Delete(pair)
		s.space.alarms--
		out.Dropped = 1
	case !do.On && do.Kind == NoSpace && s.space.full:
		// Whoever ends the alarm has seen to room. If that is not so it stays.
		s.space.full = s.space.bytes > s.space.quota
		if !s.space.full {
			out.Dropped = 1
		}
	}
	return nil
}

// Alarms returns the alarms that were raised by hand, by member and kind. That the
// quota is passed is not among them: see State.Full.
func (m *Machine) Alarms() ([]Alarm, error) {
	view := m.store.View()
	defer view.Close()
	return readAlarms(view)
}

func readAlarms(r Reader) (all []Alarm, err error) {
	it := r.Iterate()
	for ok := it.Seek([]byte{tableAlarms}); ok; ok = it.Next() {
		pair, _ := it.Pair()
		if pair[0] != tableAlarms {
			break
		}
		if len(pair) != 17 || pair[16] != byte(NoSpace) && pair[16] != byte(Corrupt) {
			it.Close()
			return nil, damaged(pair)
		}
		all = append(all, Alarm{Member: binary.BigEndian.Uint64(pair[1:]), Kind: AlarmKind(pair[16])})
	}
	return all, it.Close()
}

func alarmKey(a Alarm) []byte { return numbersKey(tableAlarms, a.Member, uint64(a.Kind)) }
