package env

import "sync"

// Tasks are goroutines that somebody waits for, as with a sync.WaitGroup, but
// through a [Runner]. The zero value has none.
type Tasks struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when none runs; nil while nobody waits
}

// Go runs f in a goroutine of its own.
func (t *Tasks) Go(r Runner, f func()) {
	t.mu.Lock()
	t.running++
	t.mu.Unlock()
	r.Go(func() {
		defer t.done()
		f()
	})
}

func (t *Tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	if t.running == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// Wait returns when none of them runs.
func (t *Tasks) Wait(r Runner) {
	if idle := t.whenIdle(); idle != nil {
		r.Wait(nil, idle, nil, nil)
	}
}

// whenIdle returns what is closed when none runs, nil if none does.
func (t *Tasks) whenIdle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running > 0 && t.idle == nil {
		t.idle = make(chan struct{})
	}
	return t.idle
}
