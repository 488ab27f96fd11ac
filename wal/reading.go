package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// reading is what is known of a log while its segments are read, oldest first. It
// looks at bytes and touches no file, so that Inspect reads just as Open does.
type reading struct {
	dir      string
	segments []*segment
	replay   replay
	final    int // where its last valid frame begins; the header, if there is none
	batches  int // how many are in it

	past    bool           // damage is passed over: what can be hurt by it is injured
	damages []*DamageError // that were passed over
	blind   bool           // nothing of the segment before could be read
	known   bool           // a segment could be read
}

func newReading(dir string) *reading {
	return &reading{dir: dir, replay: replay{groups: map[raft.GroupID]*replayed{}}}
}

// add reads the content of the next segment.
func (r *reading) add(number uint64, data []byte) error {
	if err := checkVersion(data, segmentPath(r.dir, number)); err != nil {
		return err
	}
	s, err := parseHeader(data, number)
	if err != nil {
		if err := r.pass(r.damage(number, 0, err.Error())); err != nil {
			return err
		}
		r.blind = true
		r.segments = append(r.segments, &segment{number: number, pieces: map[raft.GroupID]int{}})
		return nil
	}
	if n := len(r.segments); n > 0 && r.segments[n-1].size != s.before && !r.blind {
		if err := r.pass(r.damage(number-1, int(r.segments[n-1].size),
			fmt.Sprintf("no valid frame follows, although the segment once held %d bytes", s.before))); err != nil {
			return err
		}
	}
	r.segments = append(r.segments, s)
	end, err := r.frames(s, data)
	s.size = int64(end)
	r.blind, r.known = false, true
	return err
}

// frames replays the frames of a segment and returns where the last one ends.
func (r *reading) frames(s *segment, data []byte) (end int, err error) {
	end, r.final, r.batches = segmentHeader, segmentHeader, 0
	s.begun = segmentHeader
	for {
		payload := s.seal.frame(data, end)
		if payload == nil {
			next, err := r.behind(s, data, end)
			if err != nil || next == 0 {
				return end, err
			}
			end = next
			continue
		}
		if err := r.batch(payload, int64(end), s.number > 1 && end == segmentHeader); err != nil {
			return end, r.damage(s.number, end, err.Error())
		}
		r.final, end = end, end+frameHeader+len(payload)
		r.batches++
		if r.batches == 1 && s.number > 1 {
			s.begun = int64(end)
		}
	}
}

// batch replays the records of the frame at that offset; a statement is the first of a
// segment.
func (r *reading) batch(payload []byte, at int64, statement bool) error {
	here := place{segment: r.segments[len(r.segments)-1], at: at, keep: true}
	err := decodeBatch(payload, func(record codec.Record, bytes int64) error {
		here.bytes = bytes
		switch {
		case !statement:
			return r.replay.add(record, here)
		case !r.known:
			return r.replay.begin(record, here)
		default:
			return r.replay.restate(record, here)
		}
	})
	if statement {
		r.replay.forgot = false // it speaks of every group that there was
	}
	return err
}

// behind looks at the bytes behind the last valid frame, at end. It returns where the
// next one begins, zero if there is none; and an error if they cannot be what a crash
// left of a batch that was never acknowledged, or an earlier use of the file. Of a
// segment that is not the last, the next one knows where it ended, too.
func (r *reading) behind(s *segment, data []byte, end int) (next int, err error) {
	later, found := s.seal.headerAfter(data, end)
	switch {
	case s.number > 1 && end == segmentHeader:
		return later, r.pass(r.damage(s.number, end, "the segment's first frame, which was durable before the segment was used, is not valid"))
	case found:
		return later, r.pass(r.damage(s.number, end, fmt.Sprintf("the frame is not valid, and a later one begins at offset %d", later)))
	default:
		return 0, nil
	}
}

// pass goes past damage, if it may: from there on every group may have lost something.
func (r *reading) pass(damage *DamageError) error {
	if !r.past {
		return damage
	}
	r.damages = append(r.damages, damage)
	r.replay.lose()
	return nil
}

// torn returns how many bytes belong to a batch of which the beginning, and not all,
// is at end. If nothing of the beginning is there, nobody can tell what is.
func (s *segment) torn(data []byte, end int) int {
	length, valid := s.seal.header(data, end)
	switch {
	case valid:
		return min(frameHeader+length, len(data)-end)
	case bytes.HasPrefix(data[end:], binary.LittleEndian.AppendUint32(nil, s.seal.mark)):
		return min(frameHeader, len(data)-end)
	default:
		return 0
	}
}

// end is where the last segment ends, in bytes.
func (r *reading) end() int64 { return r.segments[len(r.segments)-1].size }

// finish returns what was saved of each group. What closes a hole is durable before
// there is one: if it is missing, more than a torn batch was cut, and what else was in
// that nobody knows.
func (r *reading) finish() (map[raft.GroupID]*raft.Saved, error) {
	saved, err := r.replay.finish()
	if err != nil {
		if err := r.pass(r.damage(r.segments[0].number, 0, err.Error())); err != nil {
			return nil, err
		}
		saved, err = r.replay.finish()
	}
	return saved, err
}

// detach copies what the entries say, a group's together, if little of what was read
// is needed: a few bytes of a quiet group would keep a whole segment in memory.
func (r *reading) detach(saved map[raft.GroupID]*raft.Saved) {
	needed, read := map[raft.GroupID]int{}, int64(0)
	all := 0
	for id, s := range saved {
		for i := range s.Entries {
			needed[id] += len(s.Entries[i].Data)
		}
		all += needed[id]
	}
	for _, s := range r.segments {
		read += s.size
	}
	if int64(all) > read/2 {
		return
	}
	for id, s := range saved {
		data := make([]byte, 0, needed[id])
		for i := range s.Entries {
			at := len(data)
			data = append(data, s.Entries[i].Data...)
			s.Entries[i].Data = data[at:len(data):len(data)]
		}
	}
}

func (r *reading) damage(number uint64, offset int, why string) *DamageError {
	return &DamageError{segmentPath(r.dir, number), int64(offset), why}
}
