package codec

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.hex anew: only for a format that nobody has used yet")

var (
	exampleConfig = membership.Config{Members: []membership.Member{
		{ID: 0x1122334455667788, Role: membership.Voter, Address: "10.0.0.1:2380", Info: `{"name":"a"}`},
		{ID: 0x99aabbccddeeff00, Role: membership.Learner, Address: "10.0.0.2:2380"},
	}}

	exampleAppend = Envelope{Group: 7, Message: raft.Message{
		Kind: raft.AppendEntries, From: 0x1122334455667788, To: 0x99aabbccddeeff00, Term: 3,
		Span: raft.Span{Prev: raft.EntryID{Term: 2, Index: 300}, Entries: []raft.Entry{
			{EntryID: raft.EntryID{Term: 2, Index: 301}, Kind: raft.Command, Data: []byte("x=1")},
			{EntryID: raft.EntryID{Term: 3, Index: 302}, Kind: raft.Blank},
			{EntryID: raft.EntryID{Term: 3, Index: 303}, Kind: raft.Membership, Config: &exampleConfig},
		}},
		Commit: 299, Round: 1000,
	}}

	exampleVote = Envelope{Group: 1 << 40, Message: raft.Message{
		Kind: raft.RequestVoteReply, From: 2, To: 1, Term: 1 << 62, Granted: true, Transfer: true,
		Last: raft.EntryID{Term: 5, Index: 6}, Rejected: raft.EntryID{Term: 4, Index: 5},
	}}

	exampleInstall = Envelope{Group: 1, Message: raft.Message{
		Kind: raft.InstallSnapshot, From: 1, To: 2, Term: 9,
		Snapshot: &raft.Snapshot{ID: raft.EntryID{Term: 8, Index: 1 << 33}, Config: exampleConfig},
	}}

	exampleSince = raft.Snapshot{ID: raft.EntryID{Term: 8, Index: 1 << 33}, Config: exampleConfig, ConfigIndex: 303}

	exampleRecord = Record{Group: 7, Write: raft.Write{
		State:  raft.HardState{Term: 3, Vote: 0x1122334455667788, Commit: 299},
		Base:   &raft.Snapshot{ID: raft.EntryID{Term: 2, Index: 300}, Config: exampleConfig},
		Append: exampleAppend.Message.Span,
	}}

	exampleAgain = Record{Group: 7, Write: raft.Write{Append: exampleAppend.Message.Span}, Again: true}
)

// The bytes on disks and wires must not change unnoticed: a new layout gets a new
// format byte and new examples beside the old ones.
func TestGoldenBytes(t *testing.T) {
	t.Run("append", func(t *testing.T) { golden(t, exampleAppend, AppendMessage, DecodeMessage) })
	t.Run("vote", func(t *testing.T) { golden(t, exampleVote, AppendMessage, DecodeMessage) })
	t.Run("install", func(t *testing.T) { golden(t, exampleInstall, AppendMessage, DecodeMessage) })
	t.Run("record", func(t *testing.T) { golden(t, exampleRecord, AppendRecord, DecodeRecord) })
	t.Run("again", func(t *testing.T) { golden(t, exampleAgain, AppendRecord, DecodeRecord) })
	t.Run("empty-record", func(t *testing.T) { golden(t, Record{Group: 1}, AppendRecord, DecodeRecord) })
	t.Run("snapshot-since", func(t *testing.T) { golden(t, exampleSince, AppendSnapshot, DecodeSnapshot) })
	t.Run("snapshot", func(t *testing.T) { golden(t, *exampleInstall.Message.Snapshot, AppendSnapshot, DecodeSnapshot) })
}

func golden[T any](t *testing.T, x T, appendTo func([]byte, *T) []byte, decode func([]byte) (T, error)) {
	file := filepath.Join("testdata", filepath.Base(t.Name())+".hex")
	got := appendTo(nil, &x)
	if *rewrite {
		if err := os.WriteFile(file, []byte(inLines(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format changed\ngot  %x\nwant %x", file, got, want)
	}
	old, err := decode(want)
	if err != nil {
		t.Fatalf("%s does not decode: %v", file, err)
	}
	if again := appendTo(nil, &old); !bytes.Equal(again, want) {
		t.Errorf("%s decodes to something else: %+v", file, old)
	}
}

// inLines is hex in lines of 32 bytes.
func inLines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(len(b), 32)
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}
