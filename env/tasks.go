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
	end := t.Begin()
	r.Go(func() {
		defer end()
		f()
	})
}

// Begin counts what runs in a goroutine that somebody else has begun, until end is called.
func (t *Tasks) Begin() (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running++
	return t.done
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
	if idle := t.Idle(); idle != nil {
		r.Wait(nil, idle, nil, nil)
	}
}

// Idle returns what is closed when none runs, nil if none does.
func (t *Tasks) Idle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running > 0 && t.idle == nil {
		t.idle = make(chan struct{})
	}
	return t.idle
}
