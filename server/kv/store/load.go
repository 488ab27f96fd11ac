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

// load fills an empty generation with pairs that come in the order of their keys. They
// are written as tables of the lowest level: nothing has to be sorted, and nothing is
// compacted afterwards. When it returns they are durable.
func (g *generation) load(fs vfs.FS, dir string, fill func(set func(key, value []byte) error) error) error {
	l := loader{fs: fs, dir: dir, opts: g.tables}
	err := fill(l.set)
	if err = errors.Join(err, l.finish()); err != nil || len(l.paths) == 0 {
		return err
	}
	return g.db.Ingest(context.Background(), l.paths)
}

// loader writes one table after another.
type loader struct {
	fs    vfs.FS
	dir   string
	opts  sstable.WriterOptions
	table *sstable.Writer // nil: the next pair begins one
	paths []string        // of all tables
}

func (l *loader) set(key, value []byte) error {
	if l.table == nil {
		path := l.fs.PathJoin(l.dir, fmt.Sprintf("load-%d.sst", len(l.paths)))
		f, err := l.fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		l.table, l.paths = sstable.NewWriter(objstorageprovider.NewFileWritable(f), l.opts), append(l.paths, path)
	}
	if err := l.table.Set(key, value); err != nil || l.table.Raw().EstimatedSize() < tableBytes {
		return err
	}
	return l.finish()
}

// finish ends the table that is being written, and syncs it.
func (l *loader) finish() error {
	if l.table == nil {
		return nil
	}
	table := l.table
	l.table = nil
	return table.Close()
}
