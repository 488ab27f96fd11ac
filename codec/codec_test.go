package codec

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Numbers are drawn with their extremes: the encoding knows no impossible term.
var (
	anyUint = rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64(), rapid.Just(^uint64(0)))
	anyNode = rapid.Custom(func(t *rapid.T) raft.NodeID { return raft.NodeID(rapid.Uint64().Draw(t, "node")) })

	anyEntryID = rapid.Custom(func(t *rapid.T) raft.EntryID {
		return raft.EntryID{Term: raft.Term(anyUint.Draw(t, "term")), Index: raft.Index(anyUint.Draw(t, "index"))}
	})

	anyConfig = rapid.Custom(func(t *rapid.T) membership.Config {
		return membership.Config{
			Members: orNil(rapid.SliceOfN(anyMember, 0, 4).Draw(t, "members")),
			Stay:    rapid.Bool().Draw(t, "stay"),
		}
	})

	anyMember = rapid.Custom(func(t *rapid.T) membership.Member {
		return membership.Member{
			ID:       anyNode.Draw(t, "id"),
			Role:     membership.Role(rapid.Byte().Draw(t, "role")),
			Old:      membership.Role(rapid.Byte().Draw(t, "old role")),
			Priority: rapid.Byte().Draw(t, "priority"),
			Address:  rapid.String().Draw(t, "address"),
			Info:     rapid.String().Draw(t, "info"),
		}
	})

	anyEntry = rapid.Custom(func(t *rapid.T) raft.Entry {
		e := raft.Entry{
			EntryID: anyEntryID.Draw(t, "entry"),
			Kind:    raft.EntryKind(rapid.ByteRange(0, flagConfig-1).Draw(t, "kind")),
			Data:    orNil(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")),
		}
		if rapid.Bool().Draw(t, "has config") {
			c := anyConfig.Draw(t, "config")
			e.Config = &c
		}
		return e
	})

	anySpan = rapid.Custom(func(t *rapid.T) raft.Span {
		return raft.Span{Prev: anyEntryID.Draw(t, "prev"), Entries: orNil(rapid.SliceOfN(anyEntry, 0, 5).Draw(t, "entries"))}
	})

	anySnapshot = rapid.Custom(func(t *rapid.T) raft.Snapshot {
		return raft.Snapshot{ID: anyEntryID.Draw(t, "id"), Config: anyConfig.Draw(t, "config")}
	})
)

// orNil is what a decoder makes of a slice: an empty one is nil.
func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func drawSnapshot(t *rapid.T) *raft.Snapshot {
	if !rapid.Bool().Draw(t, "has snapshot") {
		return nil
	}
	s := anySnapshot.Draw(t, "snapshot")
	return &s
}

func drawEnvelope(t *rapid.T) Envelope {
	return Envelope{
		Group: raft.GroupID(anyUint.Draw(t, "group")),
		Message: raft.Message{
			Kind:     raft.Kind(rapid.Byte().Draw(t, "kind")),
			From:     anyNode.Draw(t, "from"),
			To:       anyNode.Draw(t, "to"),
			Term:     raft.Term(anyUint.Draw(t, "term")),
			Last:     anyEntryID.Draw(t, "last"),
			Span:     anySpan.Draw(t, "span"),
			Rejected: anyEntryID.Draw(t, "rejected"),
			Granted:  rapid.Bool().Draw(t, "granted"),
			Transfer: rapid.Bool().Draw(t, "transfer"),
			Sleep:    rapid.Bool().Draw(t, "sleep"),
			Commit:   raft.Index(anyUint.Draw(t, "commit")),
			Round:    anyUint.Draw(t, "round"),
			Snapshot: drawSnapshot(t),
		},
	}
}

func drawRecord(t *rapid.T) Record {
	r := Record{Group: raft.GroupID(anyUint.Draw(t, "group"))}
	if rapid.Bool().Draw(t, "has state") {
		r.Write.State = raft.HardState{
			Term:   raft.Term(anyUint.Draw(t, "term")),
			Vote:   raft.NodeID(anyUint.Draw(t, "vote")),
			Commit: raft.Index(anyUint.Draw(t, "commit")),
		}
	}
	r.Write.Base = drawSnapshot(t)
	r.Write.Append = anySpan.Draw(t, "append")
	return r
}

// survives is the property of every format: what is appended after something
// else decodes to what it was, and no shorter or longer part of it decodes.
func survives[T any](t *rapid.T, x T, appendTo func([]byte, *T) []byte, decode func([]byte) (T, error)) {
	const before = "before"
	all := appendTo([]byte(before), &x)
	if string(all[:len(before)]) != before {
		t.Fatalf("what was in dst became %q", all[:len(before)])
	}
	src := all[len(before):]
	got, err := decode(src)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if !reflect.DeepEqual(got, x) {
		t.Fatalf("got  %+v\nwant %+v", got, x)
	}
	for n := range src {
		if _, err := decode(src[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d of %d bytes decode: %v", n, len(src), err)
		}
	}
	if _, err := decode(append(src[:len(src):len(src)], 0)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a byte too many decodes: %v", err)
	}
}

func TestMessagesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { survives(t, drawEnvelope(t), AppendMessage, DecodeMessage) })
}

func TestRecordsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { survives(t, drawRecord(t), AppendRecord, DecodeRecord) })
}

func TestSnapshotsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		survives(t, anySnapshot.Draw(t, "snapshot"), AppendSnapshot, DecodeSnapshot)
	})
}

// Decoded data alias the source, and end where they end: appending to an entry's
// data must not write into the next entry.
func TestDataAliasTheSource(t *testing.T) {
	src := AppendMessage(nil, &exampleAppend)
	e, err := DecodeMessage(src)
	if err != nil {
		t.Fatal(err)
	}
	data := e.Message.Span.Entries[0].Data
	if cap(data) != len(data) {
		t.Fatalf("data of %d bytes have room for %d", len(data), cap(data))
	}
	clear(src)
	for i, b := range data {
		if b != 0 {
			t.Fatalf("byte %d did not follow its source", i)
		}
	}
}

// An empty slice and none are the same on the wire.
func TestEmptyDataDecodeToNil(t *testing.T) {
	e := Envelope{Message: raft.Message{Span: raft.Span{Entries: []raft.Entry{{Data: []byte{}}}}}}
	got, err := DecodeMessage(AppendMessage(nil, &e))
	if err != nil {
		t.Fatal(err)
	}
	if data := got.Message.Span.Entries[0].Data; data != nil {
		t.Fatalf("data are %#v", data)
	}
}

func TestKindWithoutRoomPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("an entry kind of 0x80 was encoded")
		}
	}()
	AppendRecord(nil, &Record{Write: raft.Write{Append: raft.Span{Entries: []raft.Entry{{Kind: flagConfig}}}}})
}

func TestMinMessage(t *testing.T) {
	if n := len(AppendMessage(nil, &Envelope{})); n != MinMessage {
		t.Fatalf("the empty message has %d bytes, MinMessage says %d", n, MinMessage)
	}
}
