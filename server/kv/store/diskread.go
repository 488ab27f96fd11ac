package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-db/quorate/server/kv"
)

// source is what Pebble, its snapshots and its indexed batches have in common.
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
