package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

// The tables of the store; see the package comment.
const (
	tableMeta byte = iota + 1
	tableKeys
	tableVersions
	tableChanges
	tableSessions
	tableAnswers
	tableIdle
	tableLeases
	tableGrants
	tableAttached
	tableAlarms
	tableToken
	tableUsers
	tableRoles
	tableNoted
	tableOwned
)

// Use is how a pair of the store is used, for a store that keeps some in memory.
type Use byte

// The uses.
const (
	Asked  Use = iota // asked for by its key, and changed, again and again
	Once              // set once and perhaps deleted later; asked for by its key
	Walked            // found by walking over its table
)

// UseOf is how the pair with this key is used.
func UseOf(key []byte) Use {
	switch key[0] {
	case tableVersions:
		return Once
	case tableChanges, tableIdle, tableAttached, tableOwned:
		return Walked
	}
	return Asked
}

var (
	metaKey  = []byte{tableMeta}
	notedKey = []byte{tableNoted}
)

// meta is where the machine is. It is written with every batch.
type meta struct {
	applied   raft.Index
	revision  int64 // of the last change; 1 before the first
	compacted int64 // reads below it are refused; 0 before the first Compact
	swept     int64 // changes below it have been cleared away; see compact.go
	sweptOf   int64 // and so many of it
	clock     int64 // the latest time seen in a command, Unix milliseconds
	sessions  int64 // how many are open
	leases    int64 // how many have been granted and not revoked
	space     space
	rights    int64 // revision of who may do what, from 1
	guarded   bool  // rights are enforced
}

func (m meta) encode() []byte {
	b := make([]byte, 0, 48)
	b = binary.AppendUvarint(b, uint64(m.applied))
	for _, n := range []int64{m.revision, m.compacted, m.swept, m.sweptOf, m.clock, m.sessions, m.leases,
		m.space.bytes, m.space.quota, m.space.alarms} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(append(b, flag(m.space.full, 1)), uint64(m.rights))
	return append(b, flag(m.guarded, 1))
}

// empty is the state before the first command.
var empty = meta{revision: 1, rights: 1}

func readMeta(r Reader) (meta, error) {
	b, err := r.Get(metaKey)
	if err != nil {
		return meta{}, err
	}
	if b == nil {
		return empty, nil
	}
	return decodeMeta(b)
}

func decodeMeta(b []byte) (meta, error) {
	d := decoder{data: b}
	m := meta{
		applied:   raft.Index(d.uvarint()),
		revision:  d.int64(),
		compacted: d.int64(),
		swept:     d.int64(),
		sweptOf:   d.int64(),
		clock:     d.int64(),
		sessions:  d.int64(),
		leases:    d.int64(),
		space:     space{bytes: d.int64(), quota: d.int64(), alarms: d.int64(), full: d.byte() == 1},
		rights:    d.int64(),
		guarded:   d.byte() == 1,
	}
	if d.end() != nil || m.revision < 1 || m.compacted > m.revision || m.swept > m.compacted {
		return meta{}, damaged(metaKey)
	}
	return m, nil
}

// damaged is the error for a pair that this machine cannot have written.
func damaged(key []byte) error {
	return fmt.Errorf("kv: the store is damaged at %x; restore this member from its peers or a backup", key)
}

// escape appends key so that it sorts as before and begins no other escaped key.
func escape(b, key []byte) []byte {
	for {
		i := bytes.IndexByte(key, 0)
		if i < 0 {
			break
		}
		b = append(append(b, key[:i]...), 0, 0xff)
		key = key[i+1:]
	}
	return append(append(b, key...), 0, 1)
}

// unescape takes the escaped key off the front of b. The key is a part of b
// unless it contains a zero.
func unescape(b []byte) (key, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 == len(b) {
			return nil, nil, false
		}
		part, mark := b[:i:i], b[i+1]
		b = b[i+2:]
		switch {
		case mark == 1 && key == nil:
			return part, b, true
		case mark == 1:
			return append(key, part...), b, true
		case mark == 0xff:
			key = append(append(key, part...), 0)
		default:
			return nil, nil, false
		}
	}
}

// keyKey is the pair that says which version of a key is the newest.
func keyKey(key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), tableKeys), key...)
}

// encodeNumbers is a version without its value.
func (v version) encodeNumbers() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 32), uint64(v.mod))
	b = binary.AppendUvarint(b, uint64(v.create))
	b = binary.AppendUvarint(b, uint64(v.version))
	b = binary.AppendUvarint(b, uint64(v.lease))
	return binary.AppendUvarint(b, uint64(v.size))
}

func decodeNumbers(pair, b []byte) (version, error) {
	d := decoder{data: b}
	v := version{mod: d.int64(), create: d.int64(), version: d.int64(), lease: LeaseID(d.uvarint()), size: d.int64()}
	if d.end() != nil || !v.exists() {
		return version{}, damaged(pair)
	}
	return v, nil
}

// versionsOf is the beginning that the versions of a key, and only they, share.
func versionsOf(key []byte) []byte {
	b := make([]byte, 0, len(key)+16)
	return escape(append(b, tableVersions), key)
}

// atRevision completes what versionsOf began: an iterator that seeks it stands at
// the newest version that the revision can see.
func atRevision(prefix []byte, revision int64) []byte {
	return binary.BigEndian.AppendUint64(prefix, ^uint64(revision))
}

// version is one version of a key.
type version struct {
	mod     int64
	create  int64 // 0: a tombstone
	version int64
	lease   LeaseID
	value   []byte // not always read
	size    int64  // of the value, bytes
}

func (v version) exists() bool { return v.create != 0 }

func (v version) encode() []byte {
	if !v.exists() {
		return []byte{1}
	}
	b := make([]byte, 1, len(v.value)+24)
	b = binary.AppendUvarint(b, uint64(v.create))
	b = binary.AppendUvarint(b, uint64(v.version))
	b = binary.AppendUvarint(b, uint64(v.lease))
	return append(b, v.value...)
}

// splitVersionKey takes the key out of a pair of the versions table; rest is the
// revision.
func splitVersionKey(pair []byte) (key, rest []byte, err error) {
	key, rest, ok := unescape(pair[1:])
	if !ok || len(rest) != 8 {
		return nil, nil, damaged(pair)
	}
	return key, rest, nil
}

// decodeVersion reads a pair of the versions table; rest is what follows the key
// in it. The version's value is a part of value.
func decodeVersion(pair, rest, value []byte) (version, error) {
	if len(rest) != 8 || len(value) == 0 {
		return version{}, damaged(pair)
	}
	v := version{mod: int64(^binary.BigEndian.Uint64(rest))}
	if value[0] == 1 && len(value) == 1 {
		return v, nil
	}
	d := decoder{data: value[1:]}
	v.create = d.int64()
	v.version = d.int64()
	v.lease = LeaseID(d.uvarint())
	v.value, v.size = d.data, int64(len(d.data))
	if value[0] != 0 || d.code != OK || !v.exists() {
		return version{}, damaged(pair)
	}
	return v, nil
}

// change is one change of one key.
type change struct {
	revision  int64
	n         int64 // in the revision
	tombstone bool
	cleared   bool  // what it replaced has been cleared away
	replaced  int64 // the mod revision of the version that it replaced; zero: none
	size      int64 // of the value that it replaced, bytes
	key       []byte
}

func changeKey(revision, n int64) []byte {
	return numbersKey(tableChanges, uint64(revision), uint64(n))
}

// The first byte of a change.
const (
	changeDeletes byte = 1 << iota
	changeCleared
)

func (c change) encode() []byte {
	b := append(make([]byte, 0, len(c.key)+16), flag(c.tombstone, changeDeletes)|flag(c.cleared, changeCleared))
	b = binary.AppendUvarint(b, uint64(c.replaced))
	b = binary.AppendUvarint(b, uint64(c.size))
	return append(b, c.key...)
}

// decodeChange reads a pair of the changes table. The change's key is a part of value.
func decodeChange(pair, value []byte) (change, error) {
	d := decoder{data: value}
	kind := d.byte()
	c := change{tombstone: kind&changeDeletes != 0, cleared: kind&changeCleared != 0, replaced: d.int64(), size: d.int64(), key: d.data}
	if len(pair) != 17 || kind > changeDeletes|changeCleared || len(c.key) == 0 {
		return change{}, damaged(pair)
	}
	c.revision = int64(binary.BigEndian.Uint64(pair[1:]))
	c.n = int64(binary.BigEndian.Uint64(pair[9:]))
	return c, nil
}

// numbersKey is a key of a table whose keys are numbers.
func numbersKey(table byte, numbers ...uint64) []byte {
	b := append(make([]byte, 0, 17), table)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}
