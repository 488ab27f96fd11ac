package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-db/quorate/server/kv"
)

// ErrClosed is what a reader gets from a store that has been closed.
var ErrClosed = errors.New("store: the store is closed")

// Options are how a Disk works. The zero value suits three members on a laptop.
type Options struct {
	FS            vfs.FS       // the operating system's if nil
	CacheBytes    int64        // blocks read, and what was written and not yet flushed; 16 MiB if zero
	HotBytes      int          // pairs written or asked for lately; 8 MiB if zero
	MemTableBytes uint64       // written and not yet flushed, at most twice; 4 MiB if zero
	Logger        *slog.Logger // Pebble's messages at debug; discarded if nil

	// Fatal is called when the store can neither go on, nor say so by an error,
	// nor be closed: what is left is to end the process. It must not return. Nil
	// panics.
	Fatal func(error)
}

// Disk is a store that keeps its content in a directory; see the package comment.
type Disk struct {
	home home
	opts Options

	mu      sync.Mutex
	now     *generation
	shared  *diskView // what View returns; nil: nobody has asked since the last commit
	closed  bool
	readers sync.WaitGroup
}

var _ kv.Store = (*Disk)(nil)

// generation is one Pebble directory. It is closed and removed when it has been
// replaced and its last reader is gone.
type generation struct {
	number  int
	db      *pebble.DB
	tables  sstable.WriterOptions // of tables to be loaded
	failure *failure
	hot     *hot
	uses    int  // readers, and one for being current; guarded by Disk.mu
	retired bool // guarded by Disk.mu
}

// Open opens the store in a directory, and makes it if it does not exist. It
// refuses a directory that another version has written.
func Open(dir string, opts Options) (*Disk, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.CacheBytes == 0 {
		opts.CacheBytes = 16 << 20
	}
	if opts.HotBytes == 0 {
		opts.HotBytes = 8 << 20
	}
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = 4 << 20
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Fatal == nil {
		opts.Fatal = func(err error) { panic(err) }
	}
	d := &Disk{home: home{opts.FS, dir}, opts: opts}
	current, err := d.home.prepare()
	if err != nil {
		return nil, fmt.Errorf("store: opening: %w", err)
	}
	if d.now, err = d.start(current); err != nil {
		return nil, fmt.Errorf("store: opening: %w", err)
	}
	return d, nil
}

// start opens the current generation; the first is made like any other, so that
// CURRENT never names one that a crash has left half made.
func (d *Disk) start(current int) (*generation, error) {
	if current > 0 {
		return d.open(current, true)
	}
	first, err := d.build(1, func(*generation, string) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := d.home.writeCurrent(first.number); err != nil {
		return nil, errors.Join(err, first.db.Close())
	}
	return first, nil
}

func (d *Disk) open(number int, mustExist bool) (*generation, error) {
	path := d.home.path(generationName(number))
	failure := newFailure()
	opts := &pebble.Options{
		FS:                 d.opts.FS,
		CacheSize:          d.opts.CacheBytes,
		MemTableSize:       d.opts.MemTableBytes,
		DisableWAL:         true,
		ErrorIfNotExists:   mustExist,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Levels:             filters(),
		Logger:             quiet{d.opts.Logger, d.opts.Fatal},
		EventListener:      &pebble.EventListener{BackgroundError: failure.set},

		// What is written lately is read from memory, so that reads suffer little from
		// more files that overlap, and compactions are half as many.
		L0CompactionThreshold: 8,
	}
	opts.Experimental.SpanPolicyFunc = apart
	opts.EnsureDefaults()
	db, err := pebble.Open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &generation{
		number: number, db: db, failure: failure, hot: newHot(d.opts.HotBytes), uses: 1,
		tables: opts.MakeWriterOptions(lowestLevel, db.TableFormat()),
	}, nil
}

// filters tell for most tables of every level, without reading them, that they do
// not hold a key.
func filters() (levels [7]pebble.LevelOptions) {
	for i := range levels {
		levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return levels
}

// apart ends a file where the first byte of the keys changes: it names a table of the
// machine. The changes come in order, and those in other files than the keys' need not be
// written again when the keys are compacted.
func apart(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	if start[0] == 0xff {
		return policy, nil, nil
	}
	return policy, []byte{start[0] + 1}, nil
}

// acquire is the current generation, held until release; nil once closed.
func (d *Disk) acquire() *generation {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.readers.Add(1)
	d.now.uses++
	return d.now
}

func (d *Disk) release(g *generation) error {
	defer d.readers.Done()
	return d.drop(g)
}

// drop gives up one use of a generation. The last one closes it.
func (d *Disk) drop(g *generation) error {
	d.mu.Lock()
	g.uses--
	last, retired := g.uses == 0, g.retired
	d.mu.Unlock()
	if !last {
		return nil
	}
	err := g.db.Close()
	if retired {
		// What is left after a crash, or an error, is removed by the next Open.
		err = errors.Join(err, d.opts.FS.RemoveAll(d.home.path(generationName(g.number))))
	}
	return err
}

// Size is about how many bytes the store has on disk; zero once it is closed.
func (d *Disk) Size() int64 {
	g := d.acquire()
	if g == nil {
		return 0
	}
	defer d.release(g)
	return int64(g.db.Metrics().DiskSpaceUsage())
}

// Sync flushes what was committed. If that fails, the store accepts nothing more:
// what the disk holds is then only known to who opens it again.
func (d *Disk) Sync() error { return d.now.flush() }

func (g *generation) flush() error {
	if err := g.failure.err(); err != nil {
		return err
	}
	done, err := g.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("store: flushing: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-g.failure.failed:
		return g.failure.err()
	}
}

// Replace builds the new content beside the old and then switches to it. Readers
// of the old keep it until they close their views.
func (d *Disk) Replace(fill func(set func(key, value []byte) error) error) error {
	return d.replace(func(next *generation, dir string) error { return next.load(d.opts.FS, dir, fill) })
}

// replace switches to a new generation, into which the content is brought.
func (d *Disk) replace(bring func(next *generation, dir string) error) error {
	if err := d.now.failure.err(); err != nil {
		return err
	}
	next, err := d.build(d.now.number+1, bring)
	if err != nil {
		return fmt.Errorf("store: building the new content: %w", err)
	}
	if err := d.home.writeCurrent(next.number); err != nil {
		// Which of the two a restart will find is no longer known, so neither may
		// be written to.
		d.now.failure.set(fmt.Errorf("switching %s: %w", currentFile, err))
		return errors.Join(d.now.failure.err(), next.db.Close())
	}
	d.mu.Lock()
	old := d.now
	d.now, old.retired = next, true
	d.mu.Unlock()
	if err := errors.Join(d.unshare(), d.drop(old)); err != nil {
		d.opts.Logger.Warn("removing the replaced content", "err", err)
	}
	return nil
}

// build fills a new generation and makes it durable, or removes it again.
func (d *Disk) build(number int, bring func(next *generation, dir string) error) (*generation, error) {
	path := d.home.path(generationName(number))
	if err := d.opts.FS.RemoveAll(path); err != nil {
		return nil, err
	}
	g, err := d.open(number, false)
	if err != nil {
		return nil, err
	}
	if err = bring(g, path); err == nil {
		err = d.home.sync(d.home.dir) // the name of the new directory
	}
	if err != nil {
		return nil, errors.Join(err, g.db.Close(), d.opts.FS.RemoveAll(path))
	}
	return g, nil
}

// Close waits for the readers, flushes and closes the store. It takes its time if
// a view is still being written to somewhere: close views first.
func (d *Disk) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	if again {
		return ErrClosed
	}
	err := d.unshare()
	d.readers.Wait()
	return errors.Join(err, d.now.flush(), d.drop(d.now))
}
