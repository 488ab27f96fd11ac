package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
)

func decodeError[T any](_ T, err error) error { return err }

// What a decoder refuses, and in which words.
func TestRefusals(t *testing.T) {
	long := bytes.Repeat([]byte{0xff}, 11)
	for _, c := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"nothing", decodeError(DecodeMessage(nil)), ErrMalformed, "too few bytes"},
		{"a record as a message", decodeError(DecodeMessage([]byte{formatRecord})), ErrFormat, "0x21"},
		{"a later message", decodeError(DecodeMessage([]byte{formatMessage + 1})), ErrFormat, "0x12"},
		{"a later record", decodeError(DecodeRecord([]byte{formatRecord + 1, 0, 0})), ErrFormat, "0x22"},
		{"a later snapshot", decodeError(DecodeSnapshot([]byte{formatSnapshot + 1})), ErrFormat, "0x32"},
		{"an unknown flag of a message", decodeError(DecodeMessage([]byte{formatMessage, 1, 32})), ErrMalformed, "unknown flag"},
		{"an unknown flag of a record", decodeError(DecodeRecord([]byte{formatRecord, 16})), ErrMalformed, "unknown flag"},
		{"a number above 64 bits", decodeError(DecodeSnapshot(append([]byte{formatSnapshot}, long...))), ErrMalformed, "64 bits"},
		{"a padded number", decodeError(DecodeSnapshot([]byte{formatSnapshot, 0x80, 0x00, 0, 0})), ErrMalformed, "longer than it need be"},
		{"a hard state of zeros", decodeError(DecodeRecord(append([]byte{formatRecord, flagState, 1}, make([]byte, 13)...))), ErrMalformed, "all zero"},
		{"an injury without a hard state", decodeError(DecodeRecord([]byte{formatRecord, flagInjuredHere, 1, 0, 0, 0})), ErrMalformed, "without a hard state"},
		{"a base said again", decodeError(DecodeRecord(again(flagBase))), ErrMalformed, "entries and nothing else"},
		{"nothing said again", decodeError(DecodeRecord([]byte{formatRecord, flagAgain, 1, 0, 0, 0})), ErrMalformed, "entries and nothing else"},
		{"an injury without a name", decodeError(DecodeMessage(append([]byte{formatMessage, byte(raft.HeartbeatReply), flagInjured}, make([]byte, 29)...))), ErrMalformed, "without a name"},
		{"members beyond the end", decodeError(DecodeSnapshot([]byte{formatSnapshot, 1, 1, 0, 100, 0})), ErrMalformed, "beyond the end"},
		{"a configuration at index zero", decodeError(DecodeSnapshot([]byte{formatSnapshot, 1, 1, flagIndex, 0, 0})), ErrMalformed, "index zero"},
		{"an entry that says where it stands", decodeError(DecodeRecord([]byte{formatRecord, 0, 1, 0, 0, 1, 0x83, 1, 0, 0, flagIndex, 1, 0})), ErrMalformed, "unknown flag"},
		{"entries beyond the end", decodeError(DecodeRecord([]byte{formatRecord, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0x7f})), ErrMalformed, "beyond the end"},
		{"a byte too many", decodeError(DecodeRecord([]byte{formatRecord, 0, 1, 0, 0, 0, 0})), ErrMalformed, "after the end"},
	} {
		if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: got %v, want one that says %q", c.name, c.err, c.text)
		}
	}
}

// again is a record of one entry that is said again, with one flag more.
func again(flag byte) []byte {
	entry := []raft.Entry{{EntryID: raft.EntryID{Term: 1, Index: 1}, Kind: raft.Blank}}
	r := Record{Group: 1, Write: raft.Write{Append: raft.Span{Entries: entry}}, Again: true}
	if flag == flagBase {
		r.Write.Base = &raft.Snapshot{}
	}
	return AppendRecord(nil, &r)
}
