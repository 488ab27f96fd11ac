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
	begun    int // where the first batch of the last segment is or will be
	final    int // where its last valid frame begins; the header, if there is none
	batches  int // how many are in it
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
		return r.damage(number, 0, err.Error())
	}
	if n := len(r.segments); n > 0 && r.segments[n-1].size != s.before {
		return r.damage(number-1, int(r.segments[n-1].size),
			fmt.Sprintf("no valid frame follows, although the segment once held %d bytes", s.before))
	}
	r.segments = append(r.segments, s)
	end, err := r.frames(s, data)
	s.size = int64(end)
	if err != nil {
		return err
	}
	return r.checkTail(s, data, end)
}

// frames replays the frames of a segment and returns where the last one ends.
func (r *reading) frames(s *segment, data []byte) (end int, err error) {
	end, r.final, r.begun, r.batches = segmentHeader, segmentHeader, segmentHeader, 0
	for {
		payload := s.seal.frame(data, end)
		if payload == nil {
			return end, nil
		}
		statement := s.number > 1 && end == segmentHeader
		err := decodeBatch(payload, func(record codec.Record) error {
			hold(r.segments, record.Group, &record.Write.Append)
			if statement && len(r.segments) == 1 {
				return r.replay.begin(record)
			}
			return r.replay.add(record)
		})
		if err != nil {
			return end, r.damage(s.number, end, err.Error())
		}
		r.final, end = end, end+frameHeader+len(payload)
		r.batches++
		if statement {
			r.begun = end
		}
	}
}

// checkTail returns an error if the bytes behind the last valid frame, at end,
// cannot be what a crash left of a batch that was never acknowledged, or an
// earlier use of the file. Of a segment that is not the last, the next one knows
// where it ended, too.
func (r *reading) checkTail(s *segment, data []byte, end int) error {
	if s.number > 1 && end == segmentHeader {
		return r.damage(s.number, end, "the segment's first frame, which was durable before the segment was used, is not valid")
	}
	if later, found := s.seal.headerAfter(data, end); found {
		return r.damage(s.number, end, fmt.Sprintf("the frame is not valid, and a later one begins at offset %d", later))
	}
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

// finish returns what was saved of each group.
func (r *reading) finish() (map[raft.GroupID]*raft.Saved, error) {
	saved, err := r.replay.finish()
	if err != nil {
		return nil, r.damage(r.segments[0].number, 0, err.Error())
	}
	return saved, nil
}

func (r *reading) damage(number uint64, offset int, why string) error {
	return &DamageError{segmentPath(r.dir, number), int64(offset), why}
}
