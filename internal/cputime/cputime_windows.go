package cputime

import (
	"fmt"
	"syscall"
	"time"
)

// Now is the time this process has spent on processors so far.
func Now() time.Duration {
	var begun, ended, kernel, user syscall.Filetime
	self, err := syscall.GetCurrentProcess()
	if err == nil {
		err = syscall.GetProcessTimes(self, &begun, &ended, &kernel, &user)
	}
	if err != nil {
		panic(fmt.Errorf("cputime: ask for CPU time: %w", err))
	}
	return hundreds(kernel) + hundreds(user)
}

// hundreds reads a duration, which Windows counts in units of 100 ns.
func hundreds(t syscall.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
