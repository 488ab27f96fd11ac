package store

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// When Pebble gives up, who runs the store hears why; there is no stack for the
// user to read.
func TestFatalIsTold(t *testing.T) {
	var told error
	quiet{fatal: func(err error) { told = err }}.Fatalf("MANIFEST: %v: %w", "write", fs.ErrPermission)
	if !errors.Is(told, fs.ErrPermission) || !strings.Contains(told.Error(), "start the member again") {
		t.Errorf("told %v", told)
	}
}
