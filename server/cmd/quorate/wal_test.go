package main

import (
	"bytes"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// writeLog runs "log DIR": two groups write a log of a few segments. One of them has
// compacted, so that a file is kept for later.
func writeLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: log DIR")
	}
	log, _, err := wal.Open(vfs.OS{}, ts.MkAbs(args[0]), wal.Options{SegmentBytes: 512})
	ts.Check(err)
	put := func(g raft.GroupID, w raft.Write) { ts.Check(log.Append([]codec.Record{{Group: g, Write: w}})) }
	put(2, raft.Write{State: raft.HardState{Term: 7, Vote: 0xb2}})
	prev := raft.EntryID{}
	for range 12 {
		next := raft.EntryID{Term: 3, Index: prev.Index + 1}
		put(1, raft.Write{
			State:  raft.HardState{Term: 3, Vote: 0xa1, Commit: prev.Index},
			Append: raft.Span{Prev: prev, Entries: []raft.Entry{{EntryID: next, Kind: raft.Command, Data: bytes.Repeat([]byte("x"), 100)}}},
		})
		prev = next
	}
	config := membership.New(membership.Member{ID: 0xa1, Role: membership.Voter, Address: "127.0.0.1:2380"})
	put(1, raft.Write{Base: &raft.Snapshot{ID: raft.EntryID{Term: 3, Index: 5}, Config: config}})
	ts.Check(log.Close())
}

// spoil runs "spoil FILE OFFSET": a bit of this byte flips.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	data[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
