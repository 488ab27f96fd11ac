package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-db/quorate/server/kv"
)

// source is what a Pebble snapshot and an indexed batch have in common.
type source interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
}

func get(from source, key []byte) ([]byte, error) {
	value, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	value = append([]byte{}, value...)
	return value, closer.Close()
}

func iterate(from source) kv.Iterator {
	it, err := from.NewIter(nil)
	if err != nil {
		return failedIterator{fmt.Errorf("store: reading: %w", err)}
	}
	return &diskIterator{it: it}
}

type diskIterator struct {
	it  *pebble.Iterator
	err error // of reading a value; the walk ends there
}

func (d *diskIterator) Seek(key []byte) bool { return d.err == nil && d.it.SeekGE(key) }
func (d *diskIterator) Next() bool           { return d.err == nil && d.it.Next() }

func (d *diskIterator) Pair() (key, value []byte) {
	value, err := d.it.ValueAndErr()
	if err != nil {
		d.err = err
	}
	return d.it.Key(), value
}

func (d *diskIterator) Close() error {
	// Pebble's Close repeats an error that ended the walk.
	if err := errors.Join(d.err, d.it.Close()); err != nil {
		return fmt.Errorf("store: reading: %w", err)
	}
	return nil
}

type failedIterator struct{ err error }

func (f failedIterator) Seek([]byte) bool    { return false }
func (f failedIterator) Next() bool          { return false }
func (f failedIterator) Pair() (_, _ []byte) { return nil, nil }
func (f failedIterator) Close() error        { return f.err }

// closedView is what a closed store shows.
type closedView struct{}

func (closedView) Get([]byte) ([]byte, error) { return nil, ErrClosed }
func (closedView) Iterate() kv.Iterator       { return failedIterator{ErrClosed} }
func (closedView) Close() error               { return nil }

type diskView struct {
	disk *Disk
	from *generation
	snap *pebble.Snapshot
}

func (v *diskView) Get(key []byte) ([]byte, error) { return get(v.snap, key) }
func (v *diskView) Iterate() kv.Iterator           { return iterate(v.snap) }

func (v *diskView) Close() error {
	return errors.Join(v.snap.Close(), v.disk.release(v.from))
}

// diskBatch is a batch in Pebble's memory until it is committed.
type diskBatch struct {
	batch   *pebble.Batch
	failure *failure
	err     error // the first of Set and Delete
}

func (b *diskBatch) Get(key []byte) ([]byte, error) { return get(b.batch, key) }
func (b *diskBatch) Iterate() kv.Iterator           { return iterate(b.batch) }
func (b *diskBatch) Close() error                   { return b.batch.Close() }

func (b *diskBatch) Set(key, value []byte) {
	if err := b.batch.Set(key, value, nil); b.err == nil {
		b.err = err
	}
}

func (b *diskBatch) Delete(key []byte) {
	if err := b.batch.Delete(key, nil); b.err == nil {
		b.err = err
	}
}

func (b *diskBatch) Commit() error {
	if err := b.failure.err(); err != nil {
		return err
	}
	if b.err != nil {
		return fmt.Errorf("store: changing: %w", b.err)
	}
	if err := b.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("store: committing: %w", err)
	}
	return nil
}
