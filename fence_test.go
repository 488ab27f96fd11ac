package quorate

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// nothing is a state machine without a state.
type nothing struct{}

func (nothing) Apply([]Command) error            { return nil }
func (nothing) Restore(r io.Reader) error        { return nil }
func (nothing) Snapshot() (View, error)          { return nothing{}, nil }
func (nothing) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (nothing) Close() error                     { return nil }

// unwatched sees a dump played and says nothing.
type unwatched struct{}

func (unwatched) Begins(uint64, *raft.Raft)                           {}
func (unwatched) Given(uint64, *raft.Raft, *raft.Input, []raft.Event) {}

// alone is a host in the directory, and the only group on it, which has a leader.
func alone(t *testing.T, dir string) (*Host, *Group) {
	t.Helper()
	return aloneWith(t, Config{Dir: dir, ID: 1, Listen: "127.0.0.1:0"})
}

func aloneWith(t *testing.T, cfg Config) (*Host, *Group) {
	t.Helper()
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Start(GroupConfig{ID: 7, Members: []Member{{ID: 1, Role: membership.Voter, Address: h.Addr()}}, StateMachine: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Propose(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	return h, g
}

// A group of which an invariant breaks leaves a file that breaks it again, and names it.
func TestABrokenInvariantIsWrittenDown(t *testing.T) {
	dir := t.TempDir()
	h, g := alone(t, dir)
	early := g.Stopped()
	lie := g.do(func(core *raft.Raft) error { core.Persisted(1 << 40); return nil })
	<-early
	<-g.Stopped() // who asks late learns it, too
	said := g.Status().Err
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var broken raft.Violation
	if !errors.As(said, &broken) || lie != error(broken) {
		t.Fatalf("the group stopped with %v, after %v", said, lie)
	}
	_, name, found := strings.Cut(said.Error(), "quorate replay ")
	if !found || filepath.Dir(name) != filepath.Join(dir, "flight") {
		t.Fatalf("%v names no file in %s", said, dir)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := flight.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := d.Play(unwatched{}); err != nil || o.Broke != error(broken) || d.Group != 7 || d.Node != 1 {
		t.Fatalf("node %d, group %d: played again, %v broke, %v", d.Node, d.Group, o.Broke, err)
	}
}

// Only so many files are kept, whatever is beside them.
func TestOldRecordingsGo(t *testing.T) {
	dir := t.TempDir()
	h := &Host{cfg: Config{Dir: dir, FS: mustDefaults(t, dir).FS}}
	if err := h.keepFlight("0-of-somebody", nil); err != nil {
		t.Fatal(err)
	}
	for i := range maxFlights + 3 {
		if err := h.keepFlight("2026"+string(rune('a'+i))+flightSuffix, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, flightDir, "*"+flightSuffix))
	if err != nil || len(names) > maxFlights || len(names) < maxFlights-1 || filepath.Base(names[len(names)-1]) != "2026s"+flightSuffix {
		t.Errorf("%d files are left: %v, %v", len(names), names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, flightDir, "0-of-somebody")); err != nil {
		t.Errorf("what was no recording is gone: %v", err)
	}
}

func mustDefaults(t *testing.T, dir string) Config {
	cfg, err := Config{Dir: dir, Listen: "127.0.0.1:0"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
