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
		return diskFailed(f.cause)
	default:
		return nil
	}
}

func diskFailed(cause error) error {
	return fmt.Errorf("store: the disk failed: %w; make room on it or check it, and start the member again", cause)
}

// quiet turns Pebble's messages into records that only a debugger reads.
type quiet struct {
	log   *slog.Logger
	fatal func(error)
}

func (q quiet) Infof(format string, args ...any) {
	q.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (q quiet) Errorf(format string, args ...any) {
	q.log.Warn("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when Pebble can neither go on nor say so by an error (its
// manifest could not be written). It must not return, and it holds locks that
// Close would wait for.
func (q quiet) Fatalf(format string, args ...any) {
	q.fatal(diskFailed(fmt.Errorf(format, args...)))
}
