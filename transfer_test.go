package quorate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/transport"
)

// fragile is TCP on which the first stream to a node breaks once that has half of
// what may pass, and no other is opened before it is mended.
type fragile struct {
	mu      sync.Mutex
	to      quorate.NodeID
	passes  int64        // bytes of the first stream
	read    func() int64 // bytes of it that the receiver has
	mended  bool
	streams []*brittle
}

type fragileEnd struct {
	*transport.Transport
	net *fragile
}

func (n *fragile) Listen(cfg transport.Config) (quorate.Transport, error) {
	t, err := transport.Listen(cfg)
	return fragileEnd{t, n}, err
}

func (e fragileEnd) Addr() string { return e.Transport.Addr().String() }

func (e fragileEnd) OpenStream(ctx context.Context, to quorate.NodeID, header []byte) (quorate.Stream, error) {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if to == n.to && len(n.streams) > 0 && !n.mended {
		return nil, errors.New("not yet")
	}
	s, err := e.Transport.OpenStream(ctx, to, header)
	if err != nil {
		return nil, err
	}
	if to != n.to {
		return s, nil
	}
	b := &brittle{Stream: s, net: n, first: len(n.streams) == 0}
	n.streams = append(n.streams, b)
	return b, nil
}

// all returns the streams that there were.
func (n *fragile) all() []*brittle {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*brittle(nil), n.streams...)
}

func (n *fragile) aim(at *testNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to, n.read = at.cfg.ID, func() int64 { return stored(at) }
}

// stored is the size of the file with what a node has of a snapshot.
func stored(at *testNode) int64 {
	files, err := filepath.Glob(filepath.Join(at.cfg.Dir, "snap", "1", "*.part"))
	if err != nil || len(files) == 0 {
		return 0
	}
	f, err := os.Stat(files[0])
	if err != nil {
		return 0
	}
	return f.Size()
}

func (n *fragile) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mended = true
}

// arrived waits until the receiver has so many bytes, with a deadline that only a
// broken program meets.
func (n *fragile) arrived(least int64) {
	for deadline := time.Now().Add(20 * time.Second); n.read() < least && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

type brittle struct {
	*transport.Stream
	net   *fragile
	first bool
	sent  atomic.Int64
	held  atomic.Int64
	broke atomic.Bool
}

func (b *brittle) Reply() ([]byte, error) {
	reply, err := b.Stream.Reply()
	if len(reply) >= 8 {
		b.held.Store(int64(binary.LittleEndian.Uint64(reply)))
	}
	return reply, err
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.sent.Add(int64(len(p))) > b.net.passes && b.first {
		b.net.arrived(b.net.passes / 2)
		b.Close()
		b.broke.Store(true)
		return 0, errors.New("broken")
	}
	return b.Stream.Write(p)
}

// Over real connections and on real disks: what the receiver has is not sent again, by
// a leader that has gone on meanwhile, nor if the receiver was started anew.
func TestATransferThatBreaksOffGoesOn(t *testing.T) {
	for name, restart := range map[string]bool{"the connection broke": false, "the receiver was stopped": true} {
		t.Run(name, func(t *testing.T) {
			net := &fragile{passes: 1 << 20}
			c := newCluster(t, 3, func(cfg *quorate.Config) { cfg.SnapshotEntries, cfg.Network = 50, net })
			up, down := c.leader(), c.follower()
			c.stop(down)
			net.aim(down)
			const count, size = 500, 4096
			for i := range count {
				c.propose(up, fmt.Sprintf("%d%s", i, strings.Repeat("x", size))[:size])
			}
			until(t, "the log is compacted", func() bool { return up.group.Status().Base.Index > 100 })
			c.restart(down)
			until(t, "half of a snapshot is there", func() bool { return len(net.all()) == 1 && net.all()[0].broke.Load() })
			if restart {
				c.stop(down)
				c.restart(down)
			}
			c.propose(up, "meanwhile")
			net.mend()
			if got := c.read(down); len(got) != count+1 || got[count] != "meanwhile" {
				t.Fatalf("after the snapshot the node has %d commands", len(got))
			}
			all := net.all()
			if len(all) != 2 {
				t.Fatalf("there were %d streams", len(all))
			}
			held, sent := all[1].held.Load(), all[1].sent.Load()
			if held < net.passes/4 || held+sent != 8+count*(4+size) {
				t.Errorf("%d bytes were there, and %d were sent after them", held, sent)
			}
		})
	}
}
