//go:build unix

package main

import (
	"fmt"
	"syscall"
	"time"
)

// cpuTime is the time this process has spent on processors so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(fmt.Errorf("host: ask for CPU time: %w", err))
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
