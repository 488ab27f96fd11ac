package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// lowestLevel is where Pebble keeps what nothing lies below of.
const lowestLevel = 6

// tableBytes is about how large a table becomes that is loaded.
const tableBytes = 32 << 20

// syncStep is how much of a table is written before the disk is asked to begin with it,
// so that little is left to wait for.
const syncStep = 1 << 20

// load fills an empty generation with pairs that come in the order of their keys. They
// are written as tables of the lowest level: nothing has to be sorted, and nothing is
// compacted afterwards. When it returns they are durable.
func (g *generation) load(fs vfs.FS, dir string, fill func(set func(key, value []byte) error) error) error {
	paths, err := writeTables(fs, dir, g.tables, fill)
	if err != nil {
		return err
	}
	return g.ingest(paths)
}

// ingest links tables in an empty generation's directory into it, and removes their names.
func (g *generation) ingest(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	return g.db.Ingest(context.Background(), paths)
}

// writeTables returns the paths of tables in a directory that hold the pairs, durably but for
// their names.
func writeTables(fs vfs.FS, dir string, opts sstable.WriterOptions, fill func(set func(key, value []byte) error) error) ([]string, error) {
	l := loader{fs: fs, dir: dir, opts: opts}
	err := fill(l.set)
	return l.paths, errors.Join(err, l.finish())
}

// loader writes one table after another.
type loader struct {
	fs    vfs.FS
	dir   string
	opts  sstable.WriterOptions
	table *sstable.Writer // nil: the next pair begins one
	paths []string        // of all tables

	// A table is synced while the next one is written: who waits for the disk would not
	// read what still comes.
	syncing chan error // of the last table that was ended; nil: none is being synced
}

func (l *loader) set(key, value []byte) error {
	if l.table == nil {
		path := l.fs.PathJoin(l.dir, fmt.Sprintf("load-%d.sst", len(l.paths)))
		f, err := l.fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: syncStep})
		l.table, l.paths = sstable.NewWriter(objstorageprovider.NewFileWritable(f), l.opts), append(l.paths, path)
	}
	if err := l.table.Set(key, value); err != nil || l.table.Raw().EstimatedSize() < tableBytes {
		return err
	}
	return l.end()
}

// end begins to sync the table that is being written, once the one before is durable.
func (l *loader) end() error {
	if l.table == nil {
		return nil
	}
	err := l.settle()
	table, done := l.table, make(chan error, 1)
	l.table, l.syncing = nil, done
	go func() { done <- table.Close() }()
	return err
}

// settle waits until no table is being synced.
func (l *loader) settle() error {
	if l.syncing == nil {
		return nil
	}
	err := <-l.syncing
	l.syncing = nil
	return err
}

// finish ends the last table. When it returns nil, all are durable.
func (l *loader) finish() error { return errors.Join(l.end(), l.settle()) }
