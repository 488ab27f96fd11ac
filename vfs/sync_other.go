//go:build !linux

package vfs

import "os"

// SyncMode is how File.Sync of [OS] works on this system.
const SyncMode = "fsync"

// syncFile makes content and size durable. On darwin, File.Sync asks for
// F_FULLFSYNC: a plain fsync there leaves the bytes in the disk's own cache.
func syncFile(f *os.File) error { return f.Sync() }
