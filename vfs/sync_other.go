//go:build !linux

package vfs

import "os"

// syncModes are those that there are.
var syncModes = []SyncMode{Fsync}

func fileOf(f *os.File, _ SyncMode) File { return osFile{f} }

// syncFile makes content and size durable. On darwin, File.Sync asks for
// F_FULLFSYNC: a plain fsync there leaves the bytes in the disk's own cache.
func syncFile(f *os.File) error { return f.Sync() }
