//go:build !linux

package main

import "os"

// dataSyncName is what dataSync does: other systems have no fdatasync, or not
// everywhere.
const dataSyncName = "fsync"

func dataSync(f *os.File) error { return f.Sync() }

// allocate gives a file its length, which is as near as one comes everywhere.
func allocate(f *os.File, bytes int64) error { return f.Truncate(bytes) }
