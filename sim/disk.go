package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quorate-db/quorate/vfs"
)

// disk is a machine's disk. It outlives the processes that use it, and what it
// keeps of what they wrote and did not sync is drawn when they die.
type disk struct {
	node  *node
	mem   *vfs.Mem
	rng   *rand.Rand
	quick time.Duration // a sync takes between this
	slow  time.Duration // and this

	stalled time.Duration // until then nothing that is written comes to an end
	full    bool          // no space is left, not even to write in place
	fail    map[vfs.Op]int
	lights  map[vfs.Op]int // the next such operation lights the process's fuse, so long
	flaws   int            // places that were spoilt: what it holds can no longer be relied on
}

// errDead is what a dead process would get, were it still there to see it.
var errDead = errors.New("sim: the process is dead")

// files is the file system as one life of a process sees it.
func (d *disk) files() vfs.FS {
	p, life := &d.node.process, d.node.life
	return vfs.Inject(d.mem, func(op vfs.Op, path string) error {
		if !p.alive || p.life != life {
			return errDead
		}
		if length := d.lights[op]; length > 0 {
			p.fuse, d.lights = length, nil
		}
		if err := d.spoil(op, path); err != nil {
			return err
		}
		d.delay(op)
		return nil
	})
}

// spoil returns the error that an operation is to fail with.
func (d *disk) spoil(op vfs.Op, path string) error {
	if d.fail[op] > 0 {
		d.fail[op]--
		d.node.sim.note(d.node, "the disk fails: %v %s", op, filepath.Base(path))
		return syscall.EIO
	}
	if d.full && (op == vfs.OpWrite || op == vfs.OpCreate || op == vfs.OpMakeDir || op == vfs.OpSpace) {
		d.node.sim.note(d.node, "the disk is full: %v %s", op, filepath.Base(path))
		return syscall.ENOSPC
	}
	return nil
}

// delay lets an operation take its time.
func (d *disk) delay(op vfs.Op) {
	p := &d.node.process
	wait := time.Duration(0)
	switch op {
	case vfs.OpSync, vfs.OpSyncDir:
		wait = between(d.rng, d.quick, d.slow)
	case vfs.OpRename, vfs.OpRemove, vfs.OpCreate:
		wait = d.quick / 8
	}
	if wait > 0 {
		p.sleep(wait)
	}
	// In small steps, since a stall may end earlier than it was meant to.
	for op.Changes() && op != vfs.OpWrite && d.stalled > p.world.now {
		p.sleep(max(time.Microsecond, min(d.stalled-p.world.now, 20*time.Millisecond)))
	}
}

// fill lets the disk have so little room as is drawn: there may be some for now; or none,
// but for writing in place; or not even that, as where a file system copies on writing.
func (d *disk) fill(pick uint64) (left int64) {
	if pick%3 == 0 {
		d.full = true
		return 0
	}
	left = int64(pick / 3 % (2 * spaceReserve))
	if pick%3 == 1 {
		left = 0
	}
	d.mem.SetCapacity(max(1, d.mem.Used()+left))
	return left
}

func (d *disk) empty() {
	d.full = false
	d.mem.SetCapacity(0)
}

// spaceReserve is what hosts keep free, in bytes.
const spaceReserve = 48 << 10

// crash leaves on the disk what survives of a power cut, or of a process that was
// killed: then the kernel still has everything that was written.
func (d *disk) crash(how survival) {
	d.mem = d.mem.Crash(how.draw(d.rng))
	d.stalled, d.fail, d.lights = 0, nil, nil
}

// survival is what becomes of changes that were not synced.
type survival string

// What a crash may leave: all (the process died, the machine did not), none, some
// of them, or some with a last one that was torn.
const (
	keepAll  survival = "all"
	keepNone survival = "none"
	keepSome survival = "some"
	keepTorn survival = "torn"
)

var survivals = []survival{keepAll, keepNone, keepSome, keepTorn}

func (s survival) draw(rng *rand.Rand) vfs.Survival {
	switch s {
	case keepNone:
		return vfs.Lost
	case keepSome:
		return func(size int) int { return size * rng.IntN(2) }
	case keepTorn:
		return func(size int) int { return rng.IntN(size + 1) }
	default:
		return vfs.Kept
	}
}

// flip spoils one place of one file, drawn among those whose path has the given
// part, and returns where and how many bytes; "" if nothing was changed.
func (d *disk) flip(part string) (where string, size int) {
	var paths []string
	for _, line := range strings.Split(strings.TrimSpace(d.mem.String()), "\n") {
		if path, _, _ := strings.Cut(line, " "); strings.Contains(path, part) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return "", 0
	}
	path := paths[d.rng.IntN(len(paths))]
	f, err := d.mem.Open(path)
	if err != nil {
		return "", 0
	}
	defer f.Close()
	length, err := f.Size()
	if err != nil || length == 0 {
		return "", 0
	}
	at, change := d.damage(f, length)
	if change == nil {
		return "", 0
	}
	if _, err := f.WriteAt(change, at); err != nil {
		return "", 0
	}
	if err := f.Sync(); err != nil {
		return "", 0
	}
	d.flaws++
	return fmt.Sprintf("%s, %d bytes at %d", path, len(change), at), len(change)
}

// damage draws how a place in a file is spoilt: a bit flips; zeros are read; or what
// belongs somewhere else is found there, as after a write that went astray. It
// returns nil if that changes nothing.
func (d *disk) damage(f vfs.File, size int64) (at int64, change []byte) {
	at = d.rng.Int64N(size)
	n := min(size-at, 1<<d.rng.IntN(10))
	was, change := make([]byte, n), make([]byte, n)
	if _, err := f.ReadAt(was, at); err != nil {
		return at, nil
	}
	switch d.rng.IntN(4) {
	case 0:
	case 1:
		if _, err := f.ReadAt(change, d.rng.Int64N(size-n+1)); err != nil {
			return at, nil
		}
	default:
		change[0] = was[0] ^ 1<<d.rng.IntN(8)
		return at, change[:1]
	}
	if bytes.Equal(was, change) {
		return at, nil
	}
	return at, change
}
