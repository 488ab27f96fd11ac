package quorate

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// script is a stream that brings some bytes and then ends in an error, io.EOF if that is
// all of it.
type script struct {
	from  int64 // as its sender says
	bytes string
	err   error
	told  string // of what is held
	began bool
}

var errBroken = errors.New("broken")

func (s *script) Reply(reply []byte) error {
	p, err := decodeHeld(reply)
	s.told = string(encodeHeld(p))
	return err
}

func (s *script) Read(p []byte) (int, error) {
	if !s.began {
		s.began = true
		return copy(p, binary.LittleEndian.AppendUint64(nil, uint64(s.from))), nil
	}
	n := copy(p[:min(len(p), 2)], s.bytes) // in small pieces
	s.bytes = s.bytes[n:]
	if n == 0 {
		return 0, s.err
	}
	return n, nil
}

func (s *script) Close() {}

// shelf is a state machine that stages; it remembers only what.
type shelf struct {
	nothing
	limit  int64 // it reads no more
	err    error // if it comes so far
	staged []string
}

func (s *shelf) Stage(_ raft.Index, r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, s.limit))
	if err == nil {
		err = s.err
	}
	if err == nil {
		s.staged = append(s.staged, string(data))
	}
	return err
}

func (s *shelf) Applied() raft.Index            { return 0 }
func (s *shelf) Sync() error                    { return nil }
func (s *shelf) Adopt(raft.Index) (bool, error) { return false, nil }
func (s *shelf) Unstage(raft.Index) error       { return nil }
func (s *shelf) take(g *Group, at raft.Index, from *script) error {
	return g.takeIn(s, &raft.Snapshot{ID: raft.EntryID{Term: 1, Index: at}}, from)
}

// IS2: a snapshot is staged whole, however often it breaks off; and nothing else than what one
// stream, and those that go on with the same bytes, have brought.
func TestWhatIsStagedIsOneSnapshot(t *testing.T) {
	full := errors.New("the disk is full")
	type stream struct {
		at   raft.Index
		from int64
		what string
		err  error
		held string // that its sender is told of
		want error
	}
	for name, c := range map[string]struct {
		streams []stream
		limit   int64
		err     error
		staged  []string
	}{
		"at once":             {[]stream{{9, 0, "abcdef", io.EOF, "", nil}}, 99, nil, []string{"abcdef"}},
		"empty":               {[]stream{{9, 0, "", io.EOF, "", nil}}, 99, nil, []string{""}},
		"it goes on twice":    {[]stream{{9, 0, "abc", errBroken, "", errBroken}, {9, 3, "", errBroken, "abc", errBroken}, {9, 3, "def", io.EOF, "abc", nil}}, 99, nil, []string{"abcdef"}},
		"other bytes":         {[]stream{{9, 0, "abc", errBroken, "", errBroken}, {9, 0, "xyz", io.EOF, "abc", nil}}, 99, nil, []string{"xyz"}},
		"other bytes, broken": {[]stream{{9, 0, "abc", errBroken, "", errBroken}, {9, 0, "x", errBroken, "abc", errBroken}, {9, 1, "yz", io.EOF, "x", nil}}, 99, nil, []string{"xyz"}},
		"another snapshot":    {[]stream{{9, 0, "abc", errBroken, "", errBroken}, {11, 0, "xyz", io.EOF, "", nil}}, 99, nil, []string{"xyz"}},
		"a gap":               {[]stream{{9, 0, "abc", errBroken, "", errBroken}, {9, 4, "ef", io.EOF, "abc", errManyFrom}, {9, 3, "def", io.EOF, "abc", nil}}, 99, nil, []string{"abcdef"}},
		"before the end":      {[]stream{{9, 0, "abcdef", io.EOF, "", errNotRead}}, 3, nil, []string{"abc"}}, // kept by a machine that is wrong
		"no room":             {[]stream{{9, 0, "abcdef", io.EOF, "", full}, {9, 0, "abcdef", io.EOF, "", full}}, 99, full, nil},
		"one and the next":    {[]stream{{9, 0, "abc", io.EOF, "", nil}, {11, 0, "def", io.EOF, "", nil}}, 99, nil, []string{"abc", "def"}},
	} {
		h, g := alone(t, t.TempDir())
		s := &shelf{limit: c.limit, err: c.err}
		for i, one := range c.streams {
			from := &script{from: one.from, bytes: one.what, err: one.err}
			if err := s.take(g, one.at, from); !errors.Is(err, one.want) {
				t.Errorf("%s: stream %d: %v, want %v", name, i, err, one.want)
			}
			if from.told != string(encodeHeld(held(one.held))) {
				t.Errorf("%s: the sender of stream %d is told of %x", name, i, from.told)
			}
		}
		if !slices.Equal(s.staged, c.staged) {
			t.Errorf("%s: %q is staged, want %q", name, s.staged, c.staged)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// Who waits for the rest of a snapshot waits no longer than it is wanted: until the state
// has come as far by its log, the group stops, or the host is closed.
func TestNobodyWaitsForTheRestOfASnapshotForEver(t *testing.T) {
	for name, end := range map[string]func(*Host, *Group){
		"an entry behind it is applied": func(_ *Host, g *Group) { g.machine.letGo(9) },
		"the group stops":               func(_ *Host, g *Group) { g.stop(errors.New("over")) },
		"the host is closed":            func(h *Host, _ *Group) { _ = h.Close(context.Background()) },
	} {
		h, g := aloneWith(t, Config{Dir: t.TempDir(), ID: 1, Listen: "127.0.0.1:0", Env: slowTimers{env.Real()}})
		s := &shelf{limit: 99}
		if err := s.take(g, 9, &script{bytes: "abc", err: errBroken}); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		in := g.machine.intake.Load()
		g.machine.letGo(8)
		if in.over() || in.gone() {
			t.Fatalf("%s: it has ended too early", name)
		}
		end(h, g)
		select {
		case <-in.done:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s, and it waits on", name)
		}
		if in.err == nil || len(s.staged) > 0 {
			t.Errorf("%s: %q is staged, %v", name, s.staged, in.err)
		}
		_ = h.Close(context.Background()) // it may be closed already
	}
}

// slowTimers is a world in which what should end after seconds ends never.
type slowTimers struct{ env.Env }

func (e slowTimers) NewTimer(d time.Duration) env.Timer {
	if d > time.Second {
		d = 24 * time.Hour
	}
	return e.Env.NewTimer(d)
}

// A group that has stopped takes nothing in, though a stream comes.
func TestAStoppedGroupStagesNothing(t *testing.T) {
	h, g := alone(t, t.TempDir())
	defer h.Close(context.Background())
	g.stop(errors.New("over"))
	s := &shelf{limit: 99}
	if err := s.take(g, 9, &script{bytes: "abc", err: io.EOF}); !errors.Is(err, errNoMore) || len(s.staged) > 0 {
		t.Errorf("%v, and %q is staged", err, s.staged)
	}
}
