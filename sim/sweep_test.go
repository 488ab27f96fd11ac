package sim

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

var (
	sweepAll = flag.Bool("sim.sweep", false, "flip a bit of every byte, and print the goals; otherwise of one byte in many")
	sweepOne = flag.String("sim.flip", "", "only this case, as a failure has named it")
)

// site is one bit of one file of one machine.
type site struct {
	image *image
	disk  int // of which machine, from 0
	path  string
	at    int64
	bit   uint8
}

func (c site) String() string {
	return fmt.Sprintf("%s/n%d/%s/%d.%d", c.image.name, c.disk+1, c.path, c.at, c.bit)
}

// flip flips the bit.
func (c site) flip(fs vfs.FS, path string) error {
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], c.at)
	if err == nil {
		b[0] ^= 1 << c.bit
		_, err = f.WriteAt(b[:], c.at)
	}
	return errors.Join(err, f.Close())
}

// wholeFile is up to how many bytes all eight bits of each byte are flipped.
const wholeFile = 512

// sites are all bits that are flipped of an image: each of a small file, and one
// of every byte of a larger one.
func (im *image) sites() (all []site) {
	for k := range im.disks {
		all = append(all, im.sitesOf(k)...)
	}
	return all
}

func (im *image) sitesOf(disk int) (all []site) {
	for _, f := range im.disks[disk].files {
		for at := range f.size {
			if f.size > wholeFile {
				all = append(all, site{im, disk, f.path, at, uint8((at*5 + at>>3) % 8)})
				continue
			}
			for bit := range uint8(8) {
				all = append(all, site{im, disk, f.path, at, bit})
			}
		}
	}
	return all
}

// found is what a start has made of a damaged disk.
type found struct {
	err  error // why the node does not serve
	seen *seen // otherwise: what it has recovered
}

// What may come of a flipped bit.
const (
	refused  = "refused"  // the node has stopped, and says in what file and where
	unharmed = "unharmed" // the node is what it would be without the flip
	cutShort = "cut"      // its last batch is gone, as after a crash that tore it
	injured  = "injured"  // it knows that it may have lost something, and the others heal it
)

// verdict says which of these it must be, given why the node has stopped.
func (c site) verdict(err error) (string, error) {
	d := c.image.disks[c.disk]
	in := d.file(c.path)
	tail := in.last && d.cut != nil && c.at >= in.parts[len(in.parts)-1]
	switch {
	case tail && d.kept != nil && d.kept.Applied() > last(d.cut).Index:
		// Its state machine knows that the log was longer: this was no crash.
		if err == nil {
			return "", errors.New("the state machine is ahead of the log, and the node serves")
		}
		return refused, nil
	case err != nil && tail:
		return "", fmt.Errorf("what could be a torn tail is refused: %w", err)
	case err != nil:
		return refused, in.names(c.at, err)
	case tail:
		return cutShort, nil
	case in.kind == "wal":
		return injured, nil
	default:
		return unharmed, nil
	}
}

// judge says which of these it is, or that it must not be.
func (c site) judge(f found) (string, error) {
	d := c.image.disks[c.disk]
	verdict, err := c.verdict(f.err)
	if f.err != nil || err != nil {
		return verdict, err
	}
	want := d.saved
	switch verdict {
	case cutShort:
		want = d.cut
	case injured:
		if !f.seen.saved.State.Injured {
			verdict = unharmed // it is proven that the group has lost nothing
			break
		}
		return verdict, d.left(f.seen)
	}
	if !equal(want, f.seen.saved) {
		return "", fmt.Errorf("the log is %v and %v..%v, want %v and %v..%v",
			f.seen.saved.State, f.seen.saved.Base.ID, last(f.seen.saved), want.State, want.Base.ID, last(want))
	}
	if state, known := d.states[f.seen.applied]; !known || state != f.seen.state {
		return "", fmt.Errorf("after entry %d the state is not what it was there", f.seen.applied)
	}
	return verdict, nil
}

// left returns an error if an injured node has what it never had.
func (d *intact) left(f *seen) error {
	if end := last(f.saved); end.Index > d.saved.Base.ID.Index && !d.saved.Holds(end) {
		return fmt.Errorf("the log that is left ends in %v", end)
	}
	if f.saved.State.Term > d.saved.State.Term {
		return fmt.Errorf("the log that is left is in term %d, and was in %d", f.saved.State.Term, d.saved.State.Term)
	}
	if state, known := d.states[f.applied]; known && d.kept == nil && state != f.state {
		return fmt.Errorf("after entry %d the state is not what it was there", f.applied)
	}
	return nil
}

// names returns an error unless the given one says in what file a byte is damaged
// and, where that is known, in which part of it.
func (f *file) names(at int64, err error) error {
	part := f.parts[0]
	for _, begins := range f.parts {
		if begins <= at {
			part = begins
		}
	}
	log, state := (*wal.DamageError)(nil), (*snap.DamageError)(nil)
	switch {
	case f.kind == "wal" && errors.As(err, &log) && strings.HasSuffix(log.Path, f.path) && log.Offset == part,
		f.kind == "snap" && errors.As(err, &state) && strings.HasSuffix(state.Path, f.path) && state.Offset == part,
		f.kind == "node" && strings.Contains(err.Error(), f.path),
		f.kind == "node" && strings.Contains(err.Error(), "the data directory") && strings.Contains(err.Error(), "belongs to"):
		return nil
	}
	return fmt.Errorf("the error does not name offset %d of %s: %w", part, f.path, err)
}

// recover starts one machine of the image alone, with the bit flipped, and lets it
// run until it has applied what it knows to be committed.
func (c site) recover() (found, error) {
	mem := c.image.disks[c.disk].mem.Crash(vfs.Kept)
	if err := c.flip(mem, c.path); err != nil {
		return found{}, err
	}
	s := c.image.again(1, 0)
	defer s.end()
	n := s.nodes[c.disk]
	n.disk.mem, n.disk.flaws = mem, 1
	s.world.after(0, nil, n.boot)
	for until := s.world.now + time.Second; n.down == nil && n.group == nil && s.world.step(until); {
	}
	s.world.runUntil(s.world.now + s.cfg.Heartbeat.D())
	switch {
	case s.world.failure != nil:
		return found{}, s.world.failure
	case n.down != nil:
		return found{err: n.down}, nil
	case n.group == nil:
		return found{}, errors.New("the node neither serves nor stops")
	}
	return found{seen: &seen{&s.judges[0].ghost(n.id).saved, n.applied, n.store.Hash()}}, nil
}

// served is for how long clients use a cluster that has started again.
const served = 1500 * time.Millisecond

// restart starts all machines of the image, with the bit flipped, and a bit of
// another machine too where there are five.
func (c site) restart(seed uint64) (string, error) {
	s := c.image.again(seed, served)
	defer s.end()
	flips := []site{c}
	if n := len(c.image.disks); n == 5 {
		all := c.image.sitesOf((c.disk + 1 + int(seed%4)) % n)
		flips = append(flips, all[s.world.rng.IntN(len(all))])
	}
	for _, n := range s.nodes {
		n.disk.mem = n.disk.mem.Crash(vfs.Kept)
	}
	for _, f := range flips {
		n := s.nodes[f.disk]
		n.disk.flaws++
		if err := f.flip(n.disk.mem, f.path); err != nil {
			return "", err
		}
	}
	if err := c.image.remember(s, flips); err != nil {
		return "", err
	}
	s.protect(s.storm)
	s.protect(s.settle)
	s.protect(s.conclude)
	if s.world.failure != nil {
		return "", s.world.failure
	}
	if s.counts.Operations == 0 {
		return "", errors.New("no client was answered")
	}
	for _, f := range flips[1:] {
		if _, err := f.healed(s); err != nil {
			return "", fmt.Errorf("%v: %w", f, err)
		}
	}
	return c.healed(s)
}

// healed is the verdict about a machine that was started among others: if it serves,
// it is not injured any more, and its disk is whole.
func (c site) healed(s *run) (string, error) {
	n := s.nodes[c.disk]
	verdict, err := c.verdict(n.down)
	if err == nil && n.down == nil {
		err = verify(n)
	}
	return verdict, err
}

// tally counts what has come of the cases.
type tally struct {
	cases, losses int
	by            map[string]int // by kind of file and verdict
}

func (y *tally) add(t *testing.T, c site, verdict string, err error) {
	t.Helper()
	y.cases++
	if err != nil {
		if y.losses++; y.losses <= 10 {
			t.Errorf("-sim.flip %v: %v", c, err)
		}
		return
	}
	if y.by == nil {
		y.by = map[string]int{}
	}
	y.by[c.image.disks[c.disk].file(c.path).kind+" "+verdict]++
}

func (y *tally) String() string {
	text := fmt.Sprintf("%d cases, %d losses", y.cases, y.losses)
	for _, kind := range kindsOfFiles {
		for _, verdict := range []string{refused, unharmed, cutShort, injured} {
			if n := y.by[kind+" "+verdict]; n > 0 {
				text += fmt.Sprintf("; %s %s %d", kind, verdict, n)
			}
		}
	}
	return text
}

// many is how many of something there are, depending on what is wanted.
func many(all, some int) int {
	if *sweepAll {
		return all
	}
	return few(some)
}

// few is how many of something there are where not all are wanted: fewer still where
// that takes long.
func few(n int) int {
	if raced || testing.Short() {
		return n / 10
	}
	return n
}

// thin keeps about so many, evenly.
func thin(all []site, keep int) (some []site) {
	stride := max(1, len(all)/max(1, keep))
	for i := 0; i < len(all); i += stride {
		some = append(some, all[i])
	}
	return some
}

// wanted returns the sites to be tried, about so many.
func wanted(t *testing.T, images []*image, keep int) (some []site) {
	for _, im := range images {
		some = append(some, im.sites()...)
	}
	if *sweepOne == "" {
		return thin(some, keep)
	}
	some = slices.DeleteFunc(some, func(c site) bool { return c.String() != *sweepOne })
	if len(some) == 0 {
		t.Skipf("there is no case %s here", *sweepOne)
	}
	return some
}

// D03, D04, D05: one bit is flipped, and its machine is started. It stops and says
// where the damage is, or it is as if nothing had happened, or, if the bit was in the
// last batch of its log, which a crash could have torn, it is as before that batch.
// Then all machines are started with the bit flipped, clients use the cluster, and
// nothing that any client was told before is lost.
func TestD03FlippedBits(t *testing.T) {
	images := takeAll(t)
	var alone, together tally
	for _, c := range wanted(t, images, many(math.MaxInt, 4000)) {
		f, err := c.recover()
		verdict := ""
		if err == nil {
			verdict, err = c.judge(f)
		}
		alone.add(t, c, verdict, err)
	}
	t.Logf("one machine alone: %v", &alone)
	for i, c := range wanted(t, images, many(4000, 100)) {
		verdict, err := c.restart(uint64(i))
		together.add(t, c, verdict, err)
	}
	t.Logf("whole clusters: %v", &together)
	for _, kind := range kindsOfFiles {
		if *sweepOne == "" && alone.by[kind+" "+refused]+alone.by[kind+" "+injured] == 0 {
			t.Errorf("no damage of a file of kind %q was noticed: the sweep shows nothing", kind)
		}
	}
	if *sweepAll && *sweepOne == "" {
		cases, losses := alone.cases+together.cases, alone.losses+together.losses
		goal.AtLeast(os.Stdout, "corruption_cases", float64(cases), 100_000)
		goal.AtMost(os.Stdout, "corruption_losses", float64(losses), 0)
	}
}
