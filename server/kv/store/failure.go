package store

import (
	"fmt"
	"log/slog"
	"sync"
)

// failure is the first error that Pebble met in the background. A flush that
// failed may not be tried again and believed (the kernel may have thrown the pages
// away), so the first is final.
type failure struct {
	once   sync.Once
	failed chan struct{} // closed once cause is set
	cause  error
}

func newFailure() *failure { return &failure{failed: make(chan struct{})} }

func (f *failure) set(err error) {
	f.once.Do(func() {
		f.cause = err
		close(f.failed)
	})
}

func (f *failure) err() error {
	select {
	case <-f.failed:
		return fmt.Errorf("store: the disk failed: %w; check it and start the member again", f.cause)
	default:
		return nil
	}
}

// quiet turns Pebble's messages into records that only a debugger reads.
type quiet struct{ log *slog.Logger }

func (q quiet) Infof(format string, args ...any) {
	q.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (q quiet) Errorf(format string, args ...any) {
	q.log.Warn("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when Pebble can neither go on nor say so by an error (its
// manifest could not be written). It must not return.
func (q quiet) Fatalf(format string, args ...any) {
	message := "pebble: " + fmt.Sprintf(format, args...)
	q.log.Error(message)
	panic(message)
}
