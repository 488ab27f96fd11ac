package main

import (
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// ourLog is our log with one group, which compacts all that it has once in a while,
// so that segments go and their files come back.
type ourLog struct {
	log    *wal.Log
	last   raft.EntryID
	since  int // bytes appended since the last compaction
	config membership.Config
	data   []byte
	batch  []codec.Record
}

// compactEvery is how many bytes of entries make a compaction due: one or two of
// the log's segments.
const compactEvery = 16 << 20

func openLog(dir string, mode vfs.SyncMode) (*ourLog, error) {
	log, _, err := wal.Open(vfs.OS{Mode: mode}, dir, wal.Options{})
	if err != nil {
		return nil, err
	}
	return &ourLog{
		log: log, last: raft.EntryID{Term: 1}, data: make([]byte, batchBytes),
		config: membership.New(membership.Member{ID: 1, Role: membership.Voter, Address: "127.0.0.1:1"}),
		batch:  make([]codec.Record, 1),
	}, nil
}

// append makes an entry durable that is as large as what the others write; what
// stands around it comes on top.
func (l *ourLog) append() error { return l.add(l.data) }

func (l *ourLog) add(data []byte) error {
	w := raft.Write{Append: raft.Span{Prev: l.last}}
	if l.last.Index == 0 {
		w.Append.Prev = raft.EntryID{}
	}
	if l.since += len(data); l.since >= compactEvery {
		l.since, w.Base = 0, &raft.Snapshot{ID: l.last, Config: l.config}
	}
	l.last.Index++
	w.Append.Entries = []raft.Entry{{EntryID: l.last, Kind: raft.Command, Data: data}}
	l.batch[0] = codec.Record{Group: 1, Write: w}
	return l.log.Append(l.batch)
}

// grow appends so many bytes in large batches: a log that has run for some time
// writes over files that it has used before.
func (l *ourLog) grow(bytes int) error {
	large := make([]byte, 1<<20)
	for ; bytes > 0; bytes -= len(large) {
		if err := l.add(large); err != nil {
			return err
		}
	}
	return nil
}

func (l *ourLog) close() error { return l.log.Close() }
