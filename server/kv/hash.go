package kv

import (
	"bytes"
	"hash/crc32"
)

// KeysHash is a hash of what can be read from the compacted revision up to another.
// Members that have come as far, and have compacted alike, have the same.
type KeysHash struct {
	State
	Revision int64 // up to which it goes
	Sum      uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// HashKeys hashes keys with their history up to a revision, zero means the latest,
// without blocking Apply. What is compacted does not count, whether it has been
// cleared away or not. The error is [ErrFutureRevision], [ErrCompacted] or the
// store's.
func (m *Machine) HashKeys(revision int64) (KeysHash, error) {
	view := m.store.View()
	defer view.Close()
	at, err := readMeta(view)
	if err != nil {
		return KeysHash{}, err
	}
	out := KeysHash{State: at.state(), Sum: crc32.Checksum(snapshotHeader, castagnoli)}
	if out.Revision, err = at.readable(revision); err != nil {
		return out, err
	}
	var pair, last []byte
	below := false // a version at or below the compacted revision was met
	it := view.Iterate()
	for ok := it.Seek([]byte{tableVersions}); ok; ok = it.Next() {
		key, value := it.Pair()
		if key[0] != tableVersions {
			break
		}
		name, rest, err := splitVersionKey(key)
		if err != nil {
			it.Close()
			return out, err
		}
		v, err := decodeVersion(key, rest, value)
		if err != nil {
			it.Close()
			return out, err
		}
		if !bytes.Equal(name, last) {
			last, below = append(last[:0], name...), false
		}
		if v.mod > out.Revision || below {
			continue
		}
		if v.mod <= out.Compacted {
			// The newest of these is what the compacted revision sees of the key.
			if below = true; !v.exists() {
				continue
			}
		}
		pair = appendBytes(appendBytes(pair[:0], key), value)
		out.Sum = crc32.Update(out.Sum, castagnoli, pair)
	}
	return out, it.Close()
}
