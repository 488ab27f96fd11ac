// Package below goes past the seams. A want comment says what the check has to
// say about its line.
package below

import (
	"context"
	"math/rand/v2" // want "randomness comes from env"
	"os"           // want "files go through vfs"
	"sync"
	clock "time"
)

var lock sync.Mutex

func waits(ctx context.Context) {
	now := clock.Now                              // want "below uses time.Now"
	_, _ = context.WithTimeout(ctx, clock.Second) // want "below uses context.WithTimeout"
	_, _ = context.WithCancel(ctx)
	_, _, _ = now, rand.Int, os.Args
}
