package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// machine is a host on real files that listens on loopback.
type machine struct {
	number   int // from 0
	dir      string
	listen   string // its address, once it has one
	store    *Registers
	host     *quorate.Host
	group    *quorate.Group
	onlooker onlooker
}

// onlooker keeps what a host has recovered.
type onlooker struct {
	saved   *raft.Saved
	applied raft.Index
}

func (w *onlooker) Recovered(_ raft.GroupID, saved *raft.Saved, applied raft.Index) {
	w.saved, w.applied = saved, applied
}
func (w *onlooker) Decided(raft.GroupID, *raft.Raft, *raft.Effects) {}
func (w *onlooker) Durable([]codec.Record)                          {}
func (w *onlooker) Applied(_ raft.GroupID, entries []raft.Entry) {
	w.applied = entries[len(entries)-1].Index
}
func (w *onlooker) Restored(_ raft.GroupID, at raft.EntryID) { w.applied = at.Index }

// open opens the host. Two calls and not one, since the members of a new group must
// have addresses.
func (m *machine) open() (err error) {
	m.onlooker = onlooker{}
	m.host, err = quorate.Open(quorate.Config{
		Dir: m.dir, ID: raft.NodeID(m.number + 1), Cluster: 1, Listen: m.listen,
		HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
		SnapshotEntries: 30, LogSegmentBytes: 1 << 10, Observer: &m.onlooker,
	})
	if err == nil {
		m.listen = m.host.Addr()
	}
	return err
}

func (m *machine) start(members []quorate.Member) (err error) {
	m.store = NewRegisters()
	m.group, err = m.host.Start(quorate.GroupConfig{ID: group, Members: members, StateMachine: m.store})
	return err
}

// close ends the host as a crash would: without handing anything over.
func (m *machine) close(t *testing.T) {
	t.Helper()
	if m.host == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, m.host.Close(ctx))
	m.host, m.group = nil, nil
}

// machines begins a cluster on real files.
func machines(t *testing.T, n int) (all []*machine) {
	t.Helper()
	var members []quorate.Member
	for k := range n {
		m := &machine{number: k, dir: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0"}
		t.Cleanup(func() { m.close(t) })
		must(t, m.open())
		members = append(members, quorate.Member{ID: raft.NodeID(k + 1), Role: quorate.Voter, Address: m.listen})
		all = append(all, m)
	}
	for _, m := range all {
		must(t, m.start(members))
	}
	return all
}

// What a cluster on real files is filled with.
const (
	writes = 100
	keys   = 7
)

func written(i int) (key, value string) { return fmt.Sprintf("k%d", i%keys), fmt.Sprint(i) }

// write writes a key, at any machine that takes it.
func write(t *testing.T, at *machine, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := &linear.Operation{Kind: linear.Put, Key: key, Value: value}
	result, err := at.group.Propose(ctx, at.store.Command(0, 0, o))
	if err != nil {
		t.Fatalf("machine %d does not write: %v", at.number, err)
	}
	if outcome, _ := at.store.Answer(o, result); outcome != linear.OK {
		t.Fatalf("machine %d answers a write with %q", at.number, outcome)
	}
}

// level waits until all machines have applied all that any of them knows to be
// committed.
func level(t *testing.T, all []*machine) {
	t.Helper()
	for _, m := range all {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := m.group.Read(ctx); err != nil {
			t.Fatalf("machine %d does not read: %v", m.number, err)
		}
		cancel()
	}
}

// onFiles makes an image of a cluster on real files, and returns it with them.
func onFiles(t *testing.T) (*image, []*machine) {
	t.Helper()
	all := machines(t, 3)
	for i := range writes {
		key, value := written(i)
		write(t, all[i%3], key, value)
	}
	level(t, all)
	im := &image{name: "files"}
	for _, m := range all {
		m.close(t)
		d := &intact{mem: vfs.NewMem()}
		for _, path := range files(vfs.OS{}, m.dir) {
			if filepath.Base(path) != vfs.LockName {
				copyFile(t, vfs.OS{}, path, d.mem, strings.Replace(path, m.dir, "data", 1))
			}
		}
		d.learn(t)
		im.disks = append(im.disks, d)
	}
	return im, all
}

func copyFile(t *testing.T, from vfs.FS, path string, to vfs.FS, copied string) {
	t.Helper()
	must(t, to.MakeDir(filepath.Dir(copied)))
	f, err := to.Create(copied)
	must(t, err)
	_, err = f.WriteAt(contents(t, from, path), 0)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	must(t, to.SyncDir(filepath.Dir(copied)))
}

// lay puts the machine's disk, as it was when the image was taken, where it was.
func (im *image) lay(t *testing.T, m *machine) {
	t.Helper()
	must(t, os.RemoveAll(m.dir))
	for _, f := range im.disks[m.number].files {
		path := strings.Replace(f.path, "data", m.dir, 1)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, contents(t, im.disks[m.number].mem, f.path), 0o644))
	}
}

// damaged starts a machine with the bit flipped.
func (c site) damaged(t *testing.T, m *machine) error {
	t.Helper()
	c.image.lay(t, m)
	must(t, c.flip(vfs.OS{}, strings.Replace(c.path, "data", m.dir, 1)))
	err := m.open()
	if err == nil {
		err = m.start(nil)
	}
	return err
}

// D03 on real files: a bit of one machine's disk is flipped, and it is started.
func TestD03FlippedBitsOnRealFiles(t *testing.T) {
	im, all := onFiles(t)
	var alone, together tally
	for _, c := range thin(im.sites(), few(500)) {
		m := all[c.disk]
		err := c.damaged(t, m)
		m.close(t)
		f := found{err: err}
		if err == nil {
			f.seen = &seen{m.onlooker.saved, m.onlooker.applied, m.store.Hash()}
		}
		verdict, err := c.judge(f)
		alone.add(t, c, verdict, err)
	}
	t.Logf("real files: %v", &alone)
	for _, c := range thin(im.sites(), few(10)) {
		verdict, err := c.among(t, all)
		together.add(t, c, verdict, err)
	}
	t.Logf("real clusters: %v", &together)
	if *sweepAll {
		cases, losses := alone.cases+together.cases, alone.losses+together.losses
		goal.AtLeast(os.Stdout, "corruption_cases_on_files", float64(cases), 500)
		goal.AtMost(os.Stdout, "corruption_losses_on_files", float64(losses), 0)
	}
}

// among starts the damaged machine and the others, and uses them.
func (c site) among(t *testing.T, all []*machine) (string, error) {
	why := c.damaged(t, all[c.disk])
	var up []*machine
	for _, m := range all {
		switch {
		case m.number != c.disk:
			c.image.lay(t, m)
			must(t, m.open())
			must(t, m.start(nil))
			up = append(up, m)
		case why == nil:
			up = append(up, m)
		}
	}
	for i, m := range up {
		write(t, m, "after", fmt.Sprint(i))
	}
	level(t, up)
	for _, m := range all {
		m.close(t)
	}
	verdict, err := c.verdict(why)
	for _, m := range up {
		for i := range writes {
			key, value := written(i)
			if got, _, _, _ := m.store.Get(key); i >= writes-keys && got != value {
				err = errors.Join(err, fmt.Errorf("machine %d has %q under %s, want %q", m.number, got, key, value))
			}
		}
		if m.store.Hash() != up[0].store.Hash() {
			err = errors.Join(err, fmt.Errorf("the states of machines %d and %d differ", m.number, up[0].number))
		}
	}
	return verdict, err
}
