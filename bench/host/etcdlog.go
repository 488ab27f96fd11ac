package main

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"

	"github.com/quorate-db/quorate/vfs"
	"go.etcd.io/raft/v3"
	"google.golang.org/protobuf/proto"
)

// etcdLog is the log of one replica: records with a kind, a length and a checksum
// behind them, in one file that grows and that is written and synced once for what
// must be durable together. It stands for the log of etcd's server, which asks for 40
// modules, some of which the other peers would have to use later versions of, and
// for 128 MB of disk for each replica. That one syncs a file that is allocated
// beforehand, which takes longer than one that grows (make bench-wal).
type etcdLog struct {
	file    vfs.File
	end     int64
	pending []byte
}

// Kinds of records.
const (
	etcdState    = 1
	etcdEntry    = 2
	etcdSnapshot = 3
)

func createEtcdLog(dir string) (*etcdLog, error) {
	if err := (vfs.OS{}).MakeDir(dir); err != nil {
		return nil, err
	}
	file, err := vfs.OS{}.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	return &etcdLog{file: file}, vfs.OS{}.SyncDir(dir)
}

// save takes what a Ready wants saved, and makes it durable if that is asked for.
func (l *etcdLog) save(rd *raft.Ready) (err error) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err = l.add(etcdSnapshot, rd.Snapshot); err != nil {
			return err
		}
	}
	for _, e := range rd.Entries {
		if err = l.add(etcdEntry, e); err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err = l.add(etcdState, rd.HardState); err != nil {
			return err
		}
	}
	if !rd.MustSync && raft.IsEmptySnap(rd.Snapshot) {
		return nil
	}
	n, err := l.file.WriteAt(l.pending, l.end)
	if err != nil {
		return err
	}
	l.end, l.pending = l.end+int64(n), l.pending[:0]
	return l.file.Sync()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l *etcdLog) add(kind byte, m proto.Message) (err error) {
	start := len(l.pending)
	if l.pending, err = appendSized(append(l.pending, kind), m); err != nil {
		return err
	}
	l.pending = binary.LittleEndian.AppendUint32(l.pending, crc32.Checksum(l.pending[start:], castagnoli))
	return nil
}
