package wal

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// inspect looks at a copy of the directory.
func inspect(t *testing.T, mem *vfs.Mem) (*Report, error) {
	t.Helper()
	files := fstest.MapFS{}
	names, err := mem.List(dir)
	must(t, err)
	for _, name := range names {
		files[name] = &fstest.MapFile{Data: load(t, mem, filepath.Join(dir, name))}
	}
	return Inspect(files)
}

func TestAReportTellsWhatIsThere(t *testing.T) {
	mem, b := recycled(t)
	b.put(record(2, state(4, 9)))
	report, err := inspect(t, mem)
	must(t, err)
	last := report.Segments[len(report.Segments)-1]
	want := SegmentReport{
		Number: b.log.current().number, Name: filepath.Base(segmentPath(dir, b.log.current().number)),
		Bytes: b.log.current().size, Length: b.log.written, Batches: last.Batches,
	}
	if last != want || last.Batches < 2 {
		t.Errorf("the last segment is %+v, want %+v", last, want)
	}
	if len(report.Segments) != b.log.Status().Segments || len(report.Spares) != b.log.Status().Spares || report.Torn != 0 {
		t.Errorf("%+v, want what %+v says", report, b.log.Status())
	}
	groups := []GroupReport{
		{Group: 1, Base: id(1, b.last-3), First: id(1, b.last-2), Last: id(1, b.last), Bytes: 3 * 20},
		{Group: 2, State: raft.HardState{Term: 4, Vote: 9}},
	}
	if !reflect.DeepEqual(report.Groups, groups) {
		t.Errorf("groups %+v, want %+v", report.Groups, groups)
	}
}

func TestAReportEndsWithTheFirstDamage(t *testing.T) {
	w := write(t, 3, 1)
	path := segmentPath(dir, 2)
	data := content(t, w.mem, 2)
	data[len(data)-1] ^= 1
	store(t, w.mem, path, data)
	report, err := inspect(t, w.mem)
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Path != filepath.Base(path) || damage.Offset <= segmentHeader {
		t.Fatalf("%v", err)
	}
	if n := len(report.Segments); n != 3 || report.Segments[1].Bytes != damage.Offset || report.Segments[2].Bytes != 0 {
		t.Fatalf("%+v", report.Segments)
	}
}

func TestAReportTellsOfATornBatch(t *testing.T) {
	w := write(t, 2, 2)
	store(t, w.mem, w.path, slices.Clone(w.data[:w.starts[1]+20]))
	report, err := inspect(t, w.mem)
	must(t, err)
	if report.Torn != 20 {
		t.Fatalf("%+v", report)
	}
}

// A damaged batch with another one behind it had been acknowledged: nobody will cut it.
func TestAReportTakesNoDamageForTorn(t *testing.T) {
	w := write(t, 3, 3)
	data := slices.Clone(w.data)
	data[w.starts[1]+frameHeader] ^= 1
	store(t, w.mem, w.path, data)
	report, err := inspect(t, w.mem)
	var damage *DamageError
	if !errors.As(err, &damage) || report.Torn != 0 {
		t.Fatalf("%v, %+v", err, report)
	}
}

func TestADirectoryWithoutALogHasNoReport(t *testing.T) {
	if _, err := Inspect(fstest.MapFS{}); !errors.Is(err, ErrNoLog) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := Inspect(fstest.MapFS{"notes.txt": {}}); err == nil || errors.Is(err, ErrNoLog) {
		t.Errorf("another file: %v", err)
	}
}
