// Package memory reads how much memory this process has: what a measurement of
// growth looks at.
package memory

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Resident is the memory of this process that is in use, in bytes: as the system
// counts it or, where it does not say, as Go does.
func Resident() uint64 {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if pages, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				return pages * uint64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}
