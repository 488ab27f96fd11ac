package wal

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/raft"
)

// Report says what is in the directory of a log.
type Report struct {
	Segments []SegmentReport // oldest first
	Groups   []GroupReport   // by number
	Spares   []string        // names of files that are no part of the log
	Torn     int64           // bytes of a torn batch that Open would cut, as in [Status]
}

// SegmentReport is one segment. What is behind Bytes in a file of Length bytes is no
// part of the log.
type SegmentReport struct {
	Number        uint64
	Name          string // of the file
	Bytes, Length int64
	Batches       int
}

// GroupReport is what the log holds of one group.
type GroupReport struct {
	Group raft.GroupID
	State raft.HardState
	Base  raft.EntryID // what was compacted ends here
	First raft.EntryID // zero if there are no entries
	Last  raft.EntryID
	Bytes int64 // in the data of the entries
}

// ErrNoLog is returned by [Inspect] for a directory that holds no segment.
var ErrNoLog = errors.New("wal: there is no segment of a log in the directory; name the one that the *.wal files are in")

// Inspect reads a whole log and checks all that Open checks. It changes nothing and
// locks nothing; beside a running node it may see a batch half written. With a
// [DamageError], whose path is a name in the directory, comes a report of what was
// read until then.
func Inspect(dir fs.FS) (*Report, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	numbers, spares, err := list("", names)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return nil, ErrNoLog
	}
	report, r := &Report{Spares: spares}, newReading("")
	var damage error
	for _, number := range numbers {
		var data []byte
		if data, err = fs.ReadFile(dir, segmentPath("", number)); err != nil {
			return nil, err
		}
		damage = r.add(number, data)
		report.segment(r, number, data)
		if damage != nil {
			break
		}
	}
	report.Groups = r.replay.report()
	if damage == nil {
		_, damage = r.finish()
	}
	if damage != nil {
		report.Torn = 0 // what is not whole had been acknowledged
	}
	return report, damage
}

// segment takes over what a reading has found in its last segment. If not even the
// header was whole, it knows nothing of it.
func (p *Report) segment(r *reading, number uint64, data []byte) {
	s := SegmentReport{Number: number, Name: segmentPath("", number), Length: int64(len(data))}
	if n := len(r.segments); n > 0 && r.segments[n-1].number == number {
		s.Bytes, s.Batches = r.end(), r.batches
		p.Torn = int64(r.segments[n-1].torn(data, int(s.Bytes)))
	}
	p.Segments = append(p.Segments, s)
}

func (r *replay) report() []GroupReport {
	var all []GroupReport
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		of := r.groups[id]
		g := GroupReport{Group: id, State: of.state, Base: of.base.ID}
		for i := range of.pieces {
			for k := range of.pieces[i].entries {
				e := &of.pieces[i].entries[k]
				if g.First == (raft.EntryID{}) {
					g.First = e.EntryID
				}
				g.Last = e.EntryID
				g.Bytes += int64(len(e.Data))
			}
		}
		all = append(all, g)
	}
	return all
}
