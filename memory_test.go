package quorate

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
)

// rememberer is a host of which nothing works but its memory.
func rememberer(t *testing.T, files vfs.FS) *Host {
	t.Helper()
	h := &Host{cfg: Config{Dir: "d", FS: files, Env: env.Real(), Logger: slog.New(slog.DiscardHandler)}}
	h.ctx = context.Background()
	if err := errors.Join(files.MakeDir("d"), h.met.recall(&h.cfg)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *Host) meets(id NodeID, is transport.Origin) error { return (*peerMemory)(h).Meet(id, is) }

// Peers are told apart by what they say of themselves, and across starts of this node.
func TestM17D14WhoIsTurnedAway(t *testing.T) {
	disk := vfs.NewMem()
	h := rememberer(t, disk)
	first := transport.Origin{Incarnation: 1, Life: 10, Start: 100}
	steps := []struct {
		name   string
		is     transport.Origin
		refuse string
		learn  uint64 // afterwards
	}{
		{"who is met first is believed", first, "", 200},
		{"and again, whatever it has said meanwhile", first, "", 0},
		{"another directory is not", transport.Origin{Incarnation: 2, Life: 11, Start: 900}, "first met", 0},
		{"the refusal has changed nothing", first, "", 0},
		{"nor is a log that ends too early", transport.Origin{Incarnation: 1, Life: 12, Start: 199}, "old copy", 0},
		{"one that ends where it was told to is", transport.Origin{Incarnation: 1, Life: 13, Start: 200}, "", 0},
		{"a directory without an incarnation is another one", transport.Origin{Life: 14, Start: 300}, "first met", 0},
		{"a later end is news", transport.Origin{Incarnation: 1, Life: 15, Start: 300}, "", 400},
		{"and is not forgotten with the end of a connection", transport.Origin{Incarnation: 1, Life: 16, Start: 399}, "old copy", 0},
	}
	turned := uint64(0)
	for _, s := range steps {
		err := h.meets(7, s.is)
		switch {
		case s.refuse == "" && err != nil:
			t.Fatalf("%s: %v", s.name, err)
		case s.refuse != "":
			turned++
			if !errors.Is(err, transport.ErrForgotten) || !strings.Contains(err.Error(), s.refuse) || len(err.Error()) > 500 {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
		if s.learn > 0 {
			(*peerMemory)(h).Learn(7, s.learn)
		}
	}
	if got := h.vitals.forgetful.Load(); got != turned {
		t.Errorf("%d were turned away, %d counted", turned, got)
	}
	// Another start, after which the first peer calls again; its life goes on.
	if err := h.meets(8, first); err != nil { // writes down what is known of all
		t.Fatal(err)
	}
	h = rememberer(t, disk)
	if err := h.meets(7, transport.Origin{Incarnation: 1, Life: 15, Start: 300}); err != nil {
		t.Errorf("the same life, after a start of ours: %v", err)
	}
	if err := h.meets(7, transport.Origin{Incarnation: 1, Life: 17, Start: 399}); !errors.Is(err, transport.ErrForgotten) {
		t.Errorf("an old copy, after a start of ours: %v", err)
	}
	if err := h.meets(8, transport.Origin{Incarnation: 2}); !errors.Is(err, transport.ErrForgotten) {
		t.Errorf("another directory, after a start of ours: %v", err)
	}
}

// A peer is not believed before it is on the disk whom to believe; one that is known
// can be done without a note.
func TestAPeerIsRememberedBeforeItIsBelieved(t *testing.T) {
	disk, broken := vfs.NewMem(), false
	h := rememberer(t, vfs.Inject(disk, func(op vfs.Op, _ string) error {
		if broken && op == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	}))
	broken = true
	if err := h.meets(7, transport.Origin{Incarnation: 1, Life: 1}); !errors.Is(err, syscall.EIO) || errors.Is(err, transport.ErrForgotten) {
		t.Fatalf("with a disk that fails: %v", err)
	}
	broken = false
	if err := h.meets(7, transport.Origin{Incarnation: 2, Life: 2, Start: 5}); err != nil {
		t.Fatalf("it was not to be believed, and is remembered: %v", err)
	}
	broken = true
	if err := h.meets(7, transport.Origin{Incarnation: 2, Life: 3, Start: 6}); err != nil {
		t.Errorf("who is known is turned away by a disk that fails: %v", err)
	}
	after := rememberer(t, disk.Crash(vfs.Lost))
	if err := after.meets(7, transport.Origin{Incarnation: 1}); !errors.Is(err, transport.ErrForgotten) {
		t.Errorf("after a power cut another directory is believed: %v", err)
	}
}

// A changed digit must not make another node of a peer.
func TestADamagedMemoryIsRefused(t *testing.T) {
	const want = "quorate peers 1\nnode 0123456789abcdef incarnation 0123456789abcdef life 0123456789abcdef mark 0000000100000a2c\ncrc32c 8e05f4b1\n"
	m := memory{peers: map[NodeID]acquaintance{0x0123456789abcdef: {incarnation: 0x0123456789abcdef, life: 0x0123456789abcdef, mark: 0x100000a2c}}}
	if got := string(m.text()); got != want {
		t.Fatalf("the file says\n%s, the comment in memory.go\n%s", got, want)
	}
	recall := func(text string) error {
		disk := vfs.NewMem()
		if err := errors.Join(disk.MakeDir("d"), writeFile(disk, "d", "d/peers", []byte(text))); err != nil {
			t.Fatal(err)
		}
		return new(memory).recall(&Config{Dir: "d", FS: disk})
	}
	if err := recall(want); err != nil {
		t.Fatal(err)
	}
	for at := range want {
		for bit := range 8 {
			text := []byte(want)
			text[at] ^= 1 << bit
			if err := recall(string(text)); err == nil || !strings.Contains(err.Error(), "d/peers") {
				t.Fatalf("byte %d, bit %d: %v", at, bit, err)
			}
		}
	}
	for size := range want {
		if err := recall(want[:size]); err == nil {
			t.Fatalf("the first %d bytes are taken for all", size)
		}
	}
}

// Strangers can make a node remember only so much.
func TestAMemoryIsBounded(t *testing.T) {
	h := rememberer(t, vfs.NewMem())
	for id := range NodeID(maxPeers) {
		h.met.peers[id+1] = acquaintance{}
	}
	if err := h.meets(maxPeers+1, transport.Origin{}); err == nil || errors.Is(err, transport.ErrForgotten) {
		t.Errorf("one too many: %v", err)
	}
	if err := writeFile(h.cfg.FS, "d", "d/peers", h.met.text()); err != nil {
		t.Fatal(err)
	}
	if h = rememberer(t, h.cfg.FS); len(h.met.peers) != maxPeers {
		t.Errorf("of %d that are written down %d are read", maxPeers, len(h.met.peers))
	}
	if err := h.meets(1, transport.Origin{}); err != nil {
		t.Error(err)
	}
}

// A directory of before has no incarnation. It is given one, once.
func TestADirectoryOfBeforeIsGivenAnIncarnation(t *testing.T) {
	cfg := Config{Dir: "d", FS: vfs.NewMem(), Env: env.Real(), Cluster: 3}
	former := identity{id: 5}.text(3)
	if !strings.HasPrefix(former, "quorate data 2\n") {
		t.Fatal(former)
	}
	if err := errors.Join(cfg.FS.MakeDir("d"), cfg.FS.MakeDir("d/wal"), writeFile(cfg.FS, "d/wal", "d/wal/x", nil),
		writeFile(cfg.FS, "d", "d/node", []byte(former))); err != nil {
		t.Fatal(err)
	}
	is, err := identify(&cfg)
	if err != nil || is != (identity{id: 5}) {
		t.Fatalf("%+v, %v", is, err)
	}
	if err := is.introduce(&cfg); err != nil {
		t.Fatal(err)
	}
	again, err := identify(&cfg)
	if err != nil || again != is || is.id != 5 || is.incarnation == 0 {
		t.Errorf("%+v after %+v, %v", again, is, err)
	}
}
