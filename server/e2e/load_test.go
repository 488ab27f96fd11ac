//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

const (
	loadPrefix = "load/"
	valueSize  = 100 // bytes
)

// load is many clients that write at once, each its own keys.
type load struct {
	t       *testing.T
	workers []*worker
	acked   atomic.Int64 // keys
	wg      sync.WaitGroup
}

// worker is one of them. It writes until as many keys as wanted are acknowledged.
type worker struct {
	load   *load
	name   string
	want   int
	client *client.Client

	acked    map[string]uint64 // key to how many writes to it were acknowledged
	doubtful int               // writes whose outcome nobody told
	err      error
}

// startLoad lets clients write; every second one does so in a session.
func startLoad(c *cluster, clients, keysEach int) *load {
	l := &load{t: c.t}
	for i := range clients {
		w := &worker{
			load: l, name: fmt.Sprintf("%s%02d/", loadPrefix, i), want: keysEach,
			client: persistent(c.t, c.nodes...), acked: make(map[string]uint64),
		}
		l.workers = append(l.workers, w)
		write := w.plainly
		if i%2 == 1 {
			write = w.inSession
		}
		l.wg.Go(func() { w.err = write(c.t.Context()) })
	}
	return l
}

// plainly writes keys and never sends anything again: a key whose outcome is
// unknown is given up, and another one is written in its place.
func (w *worker) plainly(ctx context.Context) error {
	lastAck := time.Now()
	for i := 0; len(w.acked) < w.want; i++ {
		key := fmt.Sprint(w.name, "plain", i)
		_, err := w.client.Put(ctx, []byte(key), valueOf(key, valueSize))
		switch {
		case err == nil:
			w.ack(key)
			lastAck = time.Now()
			w.load.acked.Add(1)
		case time.Since(lastAck) > patience:
			return fmt.Errorf("no write was acknowledged for %v, at last: %w", patience, err)
		case errors.Is(err, client.ErrUnknownOutcome):
			w.doubtful++
		}
	}
	return nil
}

// tally is how often a worker in a session writes its tally key: at every so
// many other keys.
const tally = 5

// inSession writes each key once, and now and then one key over and over. The
// client sends a write again until it is acknowledged, however many leaders die
// meanwhile; the session makes each count once.
func (w *worker) inSession(ctx context.Context) error {
	s, err := w.client.OpenSession(ctx)
	if err != nil {
		return err
	}
	write := func(key string) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if _, err := s.Put(ctx, []byte(key), valueOf(key, valueSize)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		w.ack(key)
		return nil
	}
	for i := range w.want {
		if err := write(fmt.Sprint(w.name, "once", i)); err != nil {
			return err
		}
		w.load.acked.Add(1)
		if i%tally == 0 {
			if err := write(w.name + "tally"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *worker) ack(key string) { w.acked[key]++ }

// awaitAcked waits until so many keys are acknowledged.
func (l *load) awaitAcked(count int64) {
	l.t.Helper()
	eventually(l.t, fmt.Sprint(count, " acknowledged writes"), func() error {
		if got := l.acked.Load(); got < count {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// wait waits for all clients. It returns every acknowledged key with the number of
// its acknowledged writes; among them those of sessions, once more by themselves.
func (l *load) wait() (acked, numbered map[string]uint64) {
	l.t.Helper()
	l.wg.Wait()
	acked, numbered = make(map[string]uint64), make(map[string]uint64)
	doubtful := 0
	for i, w := range l.workers {
		if w.err != nil {
			l.t.Errorf("client %d: %v", i, w.err)
		}
		maps.Copy(acked, w.acked)
		if i%2 == 1 {
			maps.Copy(numbered, w.acked)
		}
		doubtful += w.doubtful
	}
	l.t.Logf("%d keys are acknowledged, %d writes have an unknown outcome", l.acked.Load(), doubtful)
	return acked, numbered
}

// missing counts the acknowledged keys that a listing lacks, or has otherwise.
func missing(acked map[string]uint64, listed map[string]client.KeyValue) int {
	lost := 0
	for key := range acked {
		if kv, ok := listed[key]; !ok || string(kv.Value) != string(valueOf(key, valueSize)) {
			lost++
		}
	}
	return lost
}
