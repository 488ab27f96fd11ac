package archive_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/quorate-db/quorate/raft/archive"
)

type small uint8

type thing struct {
	count int
	id    uint64
	kind  small
	on    bool
	name  string
	data  []byte
	list  []uint64
}

func (v *thing) archive(a *archive.Archive) {
	archive.Number(a, &v.count)
	archive.Fixed(a, &v.id)
	archive.Number(a, &v.kind)
	archive.Flag(a, &v.on)
	archive.Text(a, &v.name)
	archive.Length(a, &v.data)
	archive.List(a, &v.list, archive.Number[uint64])
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	was := thing{count: -3, id: 1 << 63, kind: 255, on: true, name: "some", data: []byte("abc"), list: []uint64{1, 1 << 40}}
	out := archive.Write([]byte("front"))
	was.archive(&out)
	in := archive.Read(out.Bytes()[len("front"):])
	var is thing
	is.archive(&in)
	was.data = []byte{0, 0, 0} // only their length is kept
	if !reflect.DeepEqual(is, was) || in.Err() != nil || len(in.Bytes()) > 0 {
		t.Fatalf("%+v became %+v, %v, with %d bytes left", was, is, in.Err(), len(in.Bytes()))
	}
}

func TestWhatIsCutOffOrImpossibleIsRefused(t *testing.T) {
	whole := archive.Write(nil)
	v := thing{id: 1, kind: 2, name: "n", data: make([]byte, 9), list: []uint64{300}}
	v.archive(&whole)
	for n := range whole.Bytes() {
		in := archive.Read(whole.Bytes()[:n])
		var is thing
		if is.archive(&in); !errors.Is(in.Err(), archive.ErrMalformed) {
			t.Errorf("the first %d bytes were read: %+v", n, is)
		}
	}
	lies := map[string]func(*archive.Archive){
		"a small number of 300":      func(a *archive.Archive) { archive.Number(a, new(small)) },
		"a truth of 300":             func(a *archive.Archive) { archive.Flag(a, new(bool)) },
		"a text of 300 bytes":        func(a *archive.Archive) { archive.Text(a, new(string)) },
		"a list of 300 with 2 bytes": func(a *archive.Archive) { archive.List(a, new([]uint64), archive.Number[uint64]) },
	}
	for name, read := range lies {
		in := archive.Read([]byte{0xac, 2, 1, 1})
		if read(&in); in.Err() == nil {
			t.Errorf("%s was read", name)
		}
	}
	in := archive.Read([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 1})
	var data []byte
	if archive.Length(&in, &data); in.Err() == nil {
		t.Errorf("%d bytes were taken on somebody's word", len(data))
	}
}
