package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"testing/fstest"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/vfs"
)

// reseal corrects the checksum of a segment's header.
func reseal(header []byte) {
	binary.LittleEndian.PutUint32(header[36:], crc32.Checksum(header[:36], castagnoli))
}

// opensOrRefuses opens whatever a segment holds: either it is refused, or what it
// was read as stays. Inspect says the same of it.
func opensOrRefuses(t *testing.T, number uint64, data []byte) {
	mem := vfs.NewMem()
	must(t, mem.MakeDir(dir))
	store(t, mem, segmentPath(dir, number), data)
	report, inspected := Inspect(fstest.MapFS{segmentPath("", number): {Data: data}})
	l, saved, err := Open(mem, dir, small())
	if (err == nil) != (inspected == nil) {
		t.Fatalf("opened with %v, inspected with %v", err, inspected)
	}
	if err != nil {
		return
	}
	if got := l.Status(); got.Cut != report.Torn || len(report.Groups) != len(saved) {
		t.Fatalf("%+v, opened as %+v", report, got)
	}
	must(t, l.Close())
	must(t, open(t, mem.Crash(vfs.Lost), model(saved).picture()).Close())
}

// FuzzSegment opens arbitrary bytes as a segment.
func FuzzSegment(f *testing.F) {
	s := newSegment(nil, &counting{})
	header := s.appendHeader(nil)
	frame := appendBatch(nil, []codec.Record{record(1, entries(id(0, 0), 1, 2, 5))})
	s.seal.close(frame, segmentHeader)
	f.Add(uint64(1), append(header, frame...))
	f.Add(uint64(2), header)
	f.Add(uint64(1), []byte{})
	f.Fuzz(func(t *testing.T, number uint64, data []byte) {
		opensOrRefuses(t, max(1, number), data)
	})
}

// FuzzBatch goes behind the checksums: arbitrary bytes as the payload of frames
// that are valid, after which anything may be decoded, in a log whose beginning
// is there or gone.
func FuzzBatch(f *testing.F) {
	batch := func(records ...codec.Record) []byte { return appendBatch(nil, records)[frameHeader:] }
	f.Add(false, batch(record(1, state(1, 1))), batch(record(1, entries(id(0, 0), 1, 2, 5))))
	f.Add(true, batch(record(1, base(1, 10))), batch(record(1, entries(id(1, 20), 1, 2, 5)), record(1, base(1, 21))))
	last := base(1, 10)
	last.Append.Prev = id(1, 20)
	f.Add(true, batch(record(1, last)), batch(codec.Record{Group: 1, Write: entries(id(1, 10), 1, 10, 5), Again: true}))
	f.Fuzz(func(t *testing.T, removed bool, first, second []byte) {
		s := newSegment(nil, &counting{})
		if removed {
			s = newSegment(s, &counting{})
		}
		data := s.appendHeader(nil)
		for _, payload := range [][]byte{first, second} {
			if len(payload) == 0 {
				continue
			}
			frame := append(make([]byte, frameHeader), payload...)
			s.seal.close(frame, int64(len(data)))
			data = append(data, frame...)
		}
		opensOrRefuses(t, s.number, data)
	})
}

// A length is believed only as far as there are bytes.
func TestAHugeLengthTakesNoMemory(t *testing.T) {
	payload := binary.LittleEndian.AppendUint32(nil, 1<<31)
	err := decodeBatch(payload, func(codec.Record, int64) error { return errors.New("a record was found") })
	if err == nil || err.Error() == "a record was found" {
		t.Fatal(err)
	}
}
