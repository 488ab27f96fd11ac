package sim

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// image is the disks of a cluster at one moment, and what its clients had been
// told by then.
type image struct {
	name    string
	plan    *Plan
	now     time.Duration
	disks   []*intact
	history []linear.Operation
	clients []*client
	top     raft.Index // the highest that was committed
}

// intact is one disk without damage, and what a start makes of it.
type intact struct {
	mem    *vfs.Mem
	kept   Durable // what a durable state machine has; nil: the state is in memory
	files  []*file
	saved  *raft.Saved           // what the log holds
	cut    *raft.Saved           // and without its last batch; nil: that cannot be torn
	states map[raft.Index]uint64 // the state after each entry that a start can come to
}

// file is one file of a disk.
type file struct {
	path  string
	kind  string // "wal", "snap" or "node"
	size  int64
	parts []int64 // where what has a checksum of its own begins
	last  bool    // the last segment of the log
}

var kindsOfFiles = []string{"wal", "snap", "node"}

// seen is what a host has recovered.
type seen struct {
	saved   *raft.Saved
	applied raft.Index
	state   uint64
}

// shapes are the clusters whose disks are damaged.
var shapes = []struct {
	name string
	set  func(*Options)
	ripe func(*run) bool // its disks are taken at this moment; nil: when it is at rest
}{
	{name: "fresh", set: func(o *Options) { o.Length, o.Clients = Duration(300*time.Millisecond), 1 }},
	{name: "one-segment", set: func(*Options) {}},
	{name: "segments", set: func(o *Options) { o.SegmentBytes = 2 << 10 }},
	{name: "compacted", set: func(o *Options) { o.SegmentBytes, o.SnapshotEntries = 2<<10, 40 }},
	{name: "durable", set: func(o *Options) { o.SegmentBytes, o.SnapshotEntries, o.Durable = 2<<10, 40, true }},
	{name: "five", set: func(o *Options) { o.Voters, o.SegmentBytes, o.SnapshotEntries = 5, 2<<10, 40 }},
	{name: "installing", set: late, ripe: installed},
	{name: "durable-installing", set: func(o *Options) { late(o); o.Durable = true }, ripe: installed},
}

// late has a third node that comes when the log of the others was compacted.
func late(o *Options) {
	o.SegmentBytes, o.SnapshotEntries, o.Length = 2<<10, 40, Duration(10*time.Second)
}

// installed is the moment at which the log of the third node has just begun anew with
// a snapshot from the leader, which its state machine has not yet loaded.
func installed(s *run) bool { return s.judges[0].ghost(3).saved.Base.ID.Index > raft.BootstrapID.Index }

func takeAll(t *testing.T) (images []*image) {
	t.Helper()
	for i, shape := range shapes {
		p := &Plan{Options: Options{
			Seed: uint64(i + 1), Length: Duration(3 * time.Second), Voters: 3, Clients: 4, Keys: 6,
			Heartbeat: Duration(20 * time.Millisecond), Election: Duration(100 * time.Millisecond),
			SnapshotEntries: 10_000, SegmentBytes: 1 << 20, Think: Duration(40 * time.Millisecond), Timeout: Duration(time.Second),
			DiskQuick: Duration(20 * time.Microsecond), DiskSlow: Duration(200 * time.Microsecond), Weather: calm,
		}}
		shape.set(&p.Options)
		if shape.ripe != nil {
			p.Actions = []Action{{At: Duration(150 * time.Millisecond), Do: "crash", Nodes: []int{3}, Keep: string(keepAll), For: Duration(2 * time.Second)}}
		}
		images = append(images, take(t, shape.name, p, shape.ripe))
	}
	return images
}

// take runs a cluster until its moment has come.
func take(t *testing.T, name string, p *Plan, ripe func(*run) bool) *image {
	t.Helper()
	s := newRun(p, Setup{})
	defer s.end()
	for i := range p.Actions {
		s.perform(&p.Actions[i])
	}
	im := &image{name: name, plan: p}
	if ripe == nil {
		s.protect(s.storm)
		s.protect(s.settle)
		im.keep(t, s)
		s.protect(s.conclude)
	} else {
		for _, n := range s.nodes {
			s.world.after(0, nil, n.boot)
		}
		for _, c := range s.clients {
			c.begin()
		}
		for !ripe(s) && s.world.step(p.Length.D()) {
		}
		if !ripe(s) {
			t.Fatalf("%s: its moment has not come", name)
		}
		im.keep(t, s)
	}
	if s.world.failure != nil {
		t.Fatalf("%s: %v", name, s.world.failure)
	}
	return im
}

// keep copies all that a later run begins with.
func (im *image) keep(t *testing.T, s *run) {
	t.Helper()
	im.now, im.top, im.history = s.world.now, s.judges[0].top, slices.Clone(s.history)
	for _, c := range s.clients {
		if c.op != nil && c.op.Kind != linear.Get {
			open := *c.op
			open.Outcome = linear.Unknown
			im.history = append(im.history, open)
		}
		im.clients = append(im.clients, c)
	}
	for _, n := range s.nodes {
		d := &intact{mem: n.disk.mem.Crash(vfs.Kept)}
		if n.kept != nil {
			d.kept = n.kept.Crash(func(int) int { return 0 })
		}
		d.learn(t)
		im.disks = append(im.disks, d)
	}
}

// learn finds out what is on the disk, and what may come of it.
func (d *intact) learn(t *testing.T) {
	t.Helper()
	var err error
	d.saved, err = logOn(t, d.mem)
	must(t, err)
	for _, path := range files(d.mem, "data") {
		d.files = append(d.files, d.describe(t, path))
	}
	segments := slices.DeleteFunc(slices.Clone(d.files), func(f *file) bool { return f.kind != "wal" })
	tail := segments[len(segments)-1]
	tail.last = true
	if len(segments) == 1 || len(tail.parts) > 2 { // the first frame of a later segment was durable before it was used
		torn := d.mem.Crash(vfs.Kept)
		f, err := torn.Open(tail.path)
		must(t, err)
		must(t, f.Truncate(tail.parts[len(tail.parts)-1]))
		must(t, f.Close())
		// If segments went because of the last frame, the log is damaged without it.
		if d.cut, err = logOn(t, torn); err == nil {
			d.follow(t, d.cut)
		} else if damage := (*wal.DamageError)(nil); !errors.As(err, &damage) {
			t.Fatal(err)
		}
	}
	d.follow(t, d.saved)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logOn returns what the log on a disk holds.
func logOn(t *testing.T, mem *vfs.Mem) (*raft.Saved, error) {
	t.Helper()
	log, saved, err := wal.Open(mem.Crash(vfs.Kept), filepath.Join("data", "wal"), wal.Options{Env: bystander()})
	if err != nil {
		return nil, err
	}
	must(t, log.Close())
	if saved[group] == nil {
		return &raft.Saved{}, nil
	}
	return saved[group], nil
}

// files lists all files below a directory.
func files(fs vfs.FS, dir string) (paths []string) {
	names, err := fs.List(dir)
	if err != nil {
		return []string{dir}
	}
	for _, name := range names {
		paths = append(paths, files(fs, filepath.Join(dir, name))...)
	}
	return paths
}

// describe says what a file is made of, as the packages wal and snap document it.
func (d *intact) describe(t *testing.T, path string) *file {
	t.Helper()
	data := contents(t, d.mem, path)
	f := &file{path: path, size: int64(len(data)), parts: []int64{0}}
	number := func(at int64) int64 { return int64(binary.LittleEndian.Uint32(data[at:])) }
	switch filepath.Ext(path) {
	case ".wal":
		f.kind = "wal"
		// Behind the log are zeros, or what the file held in an earlier use.
		at, mark := int64(40), number(16)
		for ; at+16 <= f.size && number(at) == mark; at += 16 + number(at+4) {
			f.parts = append(f.parts, at)
		}
		f.size = at
	case ".snap":
		f.kind = "snap"
		at := 24 + number(12) + 4
		for ; number(at) != 0; at += 8 + number(at) {
			f.parts = append(f.parts, at)
		}
		f.parts = append(f.parts, at)
	default:
		f.kind = "node"
	}
	return f
}

func contents(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	data := make([]byte, size)
	_, err = f.ReadAt(data, 0)
	must(t, err)
	must(t, f.Close())
	return data
}

func (d *intact) file(path string) *file {
	return d.files[slices.IndexFunc(d.files, func(f *file) bool { return f.path == path })]
}

// follow finds out the states that a start with this log can come to: from
// whatever it begins with, and with each entry after that.
func (d *intact) follow(t *testing.T, log *raft.Saved) {
	t.Helper()
	whole := log.Base.ID.Index <= raft.BootstrapID.Index
	switch {
	case d.kept != nil && (whole || d.kept.Applied() >= log.Base.ID.Index):
		d.apply(log, d.kept.Applied(), d.kept.Crash(func(int) int { return 0 }))
	case d.kept == nil && whole:
		d.apply(log, 0, NewRegisters())
	}
	snaps, err := snap.Open(d.mem, filepath.Join("data", "snap"))
	must(t, err)
	ids, err := snaps.List(group)
	must(t, err)
	for _, id := range ids {
		if !log.Holds(id) {
			continue
		}
		r, err := snaps.Open(group, id)
		must(t, err)
		store := NewRegisters()
		must(t, store.Restore(r))
		must(t, r.Close())
		d.apply(log, id.Index, store)
	}
}

// tickets is how many bytes a host puts before a command.
const tickets = 8

// apply notes the state of a store at an index, and after each entry that follows.
func (d *intact) apply(log *raft.Saved, at raft.Index, store Store) {
	if d.states == nil {
		d.states = map[raft.Index]uint64{}
	}
	d.states[at] = store.Hash()
	for _, e := range log.Entries {
		if e.Index <= at {
			continue
		}
		if e.Kind == raft.Command {
			_ = store.Apply([]quorate.Command{{Index: e.Index, Data: e.Data[tickets:]}}) // Registers take everything
		}
		d.states[e.Index] = store.Hash()
	}
}

// again begins a new run with these disks, at the time at which they were taken,
// which lasts so long.
func (im *image) again(seed uint64, length time.Duration) *run {
	p := *im.plan
	p.Seed, p.Length = seed, Duration(im.now+length)
	if length == 0 {
		p.Clients = 0
	}
	s := newRun(&p, Setup{})
	s.world.now = im.now
	for k, n := range s.nodes {
		n.disk.mem = im.disks[k].mem
		if kept := im.disks[k].kept; kept != nil {
			n.kept = kept.Crash(func(int) int { return 0 })
		}
	}
	return s
}

// remember makes a run know what had been promised before it began.
func (im *image) remember(s *run, damaged []site) error {
	s.history = slices.Clone(im.history)
	for i, c := range s.clients {
		c.puts = im.clients[i].puts
	}
	s.judges[0].top = im.top
	for k, d := range im.disks {
		if slices.ContainsFunc(damaged, func(c site) bool { return c.disk == k }) || last(d.saved).Index < im.top {
			continue
		}
		err := s.judges[0].checker.Saw(check.Observation{
			Node: s.nodes[k].id, Term: d.saved.State.Term, Vote: d.saved.State.Vote, Commit: im.top, Log: logOf(d.saved.Base.ID, d.saved.Entries),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
