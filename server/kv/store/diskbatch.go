package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-db/quorate/server/kv"
)

// diskBatch is a batch in Pebble's memory until it is committed. Most are only asked for
// single pairs; Pebble's index of a batch, by which it can be walked over together with
// the rest, is made when it is needed.
type diskBatch struct {
	disk    *Disk
	from    *generation
	batch   *pebble.Batch
	indexed bool
	changed map[string][]byte // see hot.end
	err     error             // the first of Set and Delete, or of making the index
}

// Batch begins a change.
func (d *Disk) Batch() kv.Batch {
	return &diskBatch{disk: d, from: d.now, batch: d.now.db.NewBatch(), changed: make(map[string][]byte, 16)}
}

func (b *diskBatch) Get(key []byte) ([]byte, error) {
	if kv.UseOf(key) != kv.Asked {
		return get(b.index(), key) // the batch may have set it
	}
	if value, changed := b.changed[string(key)]; changed {
		return value, nil
	}
	at := b.from.hot.now() // nobody else commits
	if value, known := b.from.hot.get(key, at); known {
		return value, nil
	}
	value, err := get(b.from.db, key)
	if value != nil {
		b.from.hot.learn(key, value, at)
	}
	return value, err
}

func (b *diskBatch) Iterate() kv.Iterator { return iterate(b.index()) }

// index is the batch with an index.
func (b *diskBatch) index() *pebble.Batch {
	if b.indexed {
		return b.batch
	}
	indexed := b.from.db.NewIndexedBatch()
	err := errors.Join(indexed.Apply(b.batch, nil), b.batch.Close())
	if b.err == nil {
		b.err = err
	}
	b.batch, b.indexed = indexed, true
	return indexed
}

func (b *diskBatch) Set(key, value []byte) {
	if kv.UseOf(key) == kv.Asked {
		b.changed[string(key)] = append([]byte{}, value...)
	}
	if err := b.batch.Set(key, value, nil); b.err == nil {
		b.err = err
	}
}

func (b *diskBatch) Delete(key []byte) {
	if kv.UseOf(key) != kv.Walked {
		b.changed[string(key)] = nil
	}
	if err := b.batch.Delete(key, nil); b.err == nil {
		b.err = err
	}
}

func (b *diskBatch) Commit() error {
	if err := b.from.failure.err(); err != nil {
		return err
	}
	if b.err != nil {
		return fmt.Errorf("store: changing: %w", b.err)
	}
	b.from.hot.begin()
	if err := b.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("store: committing: %w", err) // what is in memory is not believed any more
	}
	b.from.hot.end(b.changed)
	return b.disk.unshare()
}

func (b *diskBatch) Close() error { return b.batch.Close() }
