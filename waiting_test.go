package quorate

import (
	"context"
	"errors"
	"testing"
)

// The loop has not come to it when its context ends: it was not made, and never will be.
func TestACommandThatNobodyGotToIsNotMade(t *testing.T) {
	h, g := alone(t, t.TempDir())
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	p, err := g.waiting.open(1 << 60)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.wait(ctx, p); !errors.Is(err, ErrTooLate) || !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	if g.waiting.made(p, 1<<40) {
		t.Error("it may still be made")
	}
}
