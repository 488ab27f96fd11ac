package codec

import (
	"bytes"
	"errors"
	"testing"
)

// canonical is the property of every decoder: whatever it accepts has no other
// encoding, and it refuses everything else with a typed error.
func canonical[T any](t *testing.T, src []byte, appendTo func([]byte, *T) []byte, decode func([]byte) (T, error)) {
	x, err := decode(src)
	if err != nil {
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("an error without a type: %v", err)
		}
		return
	}
	if again := appendTo(nil, &x); !bytes.Equal(again, src) {
		t.Fatalf("%x decodes to %+v, which encodes to %x", src, x, again)
	}
}

func FuzzMessage(f *testing.F) {
	for _, e := range []Envelope{exampleAppend, exampleVote, exampleInstall, {}} {
		f.Add(AppendMessage(nil, &e))
	}
	f.Fuzz(func(t *testing.T, src []byte) { canonical(t, src, AppendMessage, DecodeMessage) })
}

func FuzzRecord(f *testing.F) {
	for _, r := range []Record{exampleRecord, exampleAgain, {}} {
		f.Add(AppendRecord(nil, &r))
	}
	f.Fuzz(func(t *testing.T, src []byte) { canonical(t, src, AppendRecord, DecodeRecord) })
}

func FuzzSnapshot(f *testing.F) {
	f.Add(AppendSnapshot(nil, exampleInstall.Message.Snapshot))
	f.Add(AppendSnapshot(nil, &exampleSince))
	f.Fuzz(func(t *testing.T, src []byte) { canonical(t, src, AppendSnapshot, DecodeSnapshot) })
}
