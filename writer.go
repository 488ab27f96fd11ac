package quorate

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/wal"
)

// writer makes batches durable, in order, and does what waited for that. While
// it writes, further batches gather; they become one write.
type writer struct {
	host *Host
	log  *wal.Log
	wake chan struct{} // holds one signal while something waits

	mu      sync.Mutex // guards waiting and closed
	waiting promises
	closed  bool

	held promises // for want of room; owned by the goroutine
	room room

	batches uint64        // written so far, the one under way included; owned by the goroutine
	current atomic.Uint64 // the one under way; zero: none is
	written atomic.Uint64 // those that have ended
}

// promises is the part of batches that involves the disk.
type promises struct {
	records []codec.Record
	after   []codec.Envelope
	written []engine.Written
	install []engine.Install
	kept    []awaited
}

// awaited is some of the records, for which somebody waits.
type awaited struct {
	records []codec.Record
	done    chan struct{} // closed once they are durable
}

func newWriter(h *Host, log *wal.Log) *writer {
	return &writer{host: h, log: log, wake: make(chan struct{}, 1)}
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// put takes a batch's promises. It never waits: what may be under way is bounded
// by the windows and quotas of the cores.
func (w *writer) put(b *engine.Batch) {
	w.mu.Lock()
	p := &w.waiting
	p.records = append(p.records, b.Writes...)
	p.after = append(p.after, b.After...)
	p.written = append(p.written, b.Written...)
	p.install = append(p.install, b.Install...)
	w.mu.Unlock()
	w.signal()
}

// bootstrap writes the beginnings of groups, or their ends, and returns when they are durable.
func (w *writer) bootstrap(ctx context.Context, first []codec.Record) error {
	k := awaited{first, make(chan struct{})}
	w.mu.Lock()
	w.waiting.records = append(w.waiting.records, first...)
	w.waiting.kept = append(w.waiting.kept, k)
	w.mu.Unlock()
	w.signal()
	return w.host.await(ctx, k.done)
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
}

// run is the writer's goroutine.
func (w *writer) run() {
	var p promises
	for {
		w.await()
		w.host.cfg.Env.Yield()
		w.mu.Lock()
		p, w.waiting = w.waiting, promises{records: p.records[:0], after: p.after[:0], written: p.written[:0]}
		closed := w.closed
		w.mu.Unlock()
		if w.held.any() {
			p = w.held.followedBy(&p)
			w.held = promises{}
		}
		slow := p.takeSlow()
		err := w.keep(&p)
		if err == nil && slow.any() {
			err = w.keep(&slow)
		}
		if err != nil {
			w.host.fail(err)
			return
		}
		w.sayHeld()
		if closed {
			return
		}
		clear(p.records)
		clear(p.after)
	}
}

// keep makes promises durable, and only then lets them out.
func (w *writer) keep(p *promises) error {
	if len(p.records) > 0 {
		rest, err := w.append(p.records)
		if err != nil {
			err = w.hold(p, rest, err)
		}
		if err != nil {
			return err
		}
		w.written.Store(w.batches)
	}
	for _, k := range p.kept {
		close(k.done)
	}
	w.host.peers.Send(p.after)
	// Before the report: it lets the core hand out the entries behind them.
	for _, in := range p.install {
		if g := w.host.group(in.Group); g != nil {
			g.machine.put(job{install: &in.Snapshot})
		}
	}
	if len(p.written) > 0 {
		w.report(p.written)
	}
	w.host.inbox.signal() // proposals may have waited for the end of this write
	return nil
}

// append writes records, as many at a time as a disk should swallow quickly. After an
// error it returns those that are not known to be durable.
func (w *writer) append(records []codec.Record) (rest []codec.Record, err error) {
	defer w.current.Store(0)
	for len(records) > 0 {
		n := firstBytes(records, maxWrite)
		w.batches++
		w.current.Store(w.batches)
		if err := w.log.Append(records[:n]); err != nil {
			return records, err
		}
		w.host.observe(func(o Observer) { o.Durable(records[:n]) })
		records = records[n:]
	}
	return nil, nil
}

// quickWrite is how many bytes of commands hold nobody up.
const quickWrite = 1 << 20

// takeSlow takes out the groups that have commands, if those are many: the terms, votes
// and acknowledgements of others shall not wait for them.
func (p *promises) takeSlow() (slow promises) {
	if firstBytes(p.records, quickWrite) == len(p.records) {
		return promises{}
	}
	many := map[GroupID]bool{}
	for i := range p.records {
		if len(p.records[i].Write.Append.Entries) > 0 {
			many[p.records[i].Group] = true
		}
	}
	return p.takeOut(many)
}

// maxWrite bounds one write, in bytes of commands, unless one record is larger.
const maxWrite = 16 << 20

// firstBytes returns how many of the records hold about so many bytes, at least one.
func firstBytes(records []codec.Record, limit int) int {
	bytes := 0
	for i := range records {
		for k := range records[i].Write.Append.Entries {
			bytes += len(records[i].Write.Append.Entries[k].Data)
		}
		if bytes > limit && i > 0 {
			return i
		}
	}
	return len(records)
}

// report tells the cores what is durable: for each the last write is enough.
func (w *writer) report(written []engine.Written) {
	last := make([]engine.Written, 0, 1)
	for i, done := range written {
		if i > 0 && last[len(last)-1].Group == done.Group {
			last[len(last)-1] = done
		} else {
			last = append(last, done)
		}
	}
	h := w.host
	h.inbox.do(func() {
		for _, done := range last {
			// A group that is gone needs no report.
			_ = h.loop.engine.Note(done.Group, func(core *raft.Raft) bool { return core.Persisted(done.ID) })
			if h.vitals.timed.Load() > 0 {
				if g := h.group(done.Group); g != nil {
					g.sample.written(h, done.ID)
				}
			}
		}
	})
}
