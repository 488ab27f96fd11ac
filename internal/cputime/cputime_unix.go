//go:build unix

package cputime

import (
	"fmt"
	"syscall"
	"time"
)

// Now is the time this process has spent on processors so far.
func Now() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(fmt.Errorf("cputime: ask for CPU time: %w", err))
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
