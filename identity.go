package quorate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/quorate-db/quorate/vfs"
)

// A data directory says whose it is, in the file "node":
//
//	quorate data 3
//	cluster 0123456789abcdef
//	node 0123456789abcdef
//	incarnation 0123456789abcdef
//	crc32c 516ce1ee
//
// The last line is the CRC-32C of those before: a digit that has changed must not
// make this another node. Format 2 had no incarnation; such a directory is given one.
const (
	logDir         = "wal"
	snapshotDir    = "snap"
	identityFile   = "node"
	identityFormat = "quorate data 3\ncluster %016x\nnode %016x\nincarnation %016x\n"
	formerFormat   = "quorate data 2\ncluster %016x\nnode %016x\n"
)

// identity is who a node is. Its zero value is that of a directory that has none yet.
type identity struct {
	id          NodeID
	incarnation uint64 // drawn when the directory was made; zero: there was none then
}

// text is the file's content.
func (is identity) text(cluster uint64) string {
	text := fmt.Sprintf(identityFormat, cluster, uint64(is.id), is.incarnation)
	if is.incarnation == 0 {
		text = fmt.Sprintf(formerFormat, cluster, uint64(is.id))
	}
	return fmt.Sprintf("%scrc32c %08x\n", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// identify compares the directory's identity with the configuration's and returns
// it.
func identify(cfg *Config) (is identity, err error) {
	path := filepath.Join(cfg.Dir, identityFile)
	text, err := readFile(cfg.FS, path, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return is, nil
	}
	if err != nil {
		return is, fmt.Errorf("quorate: the data directory cannot be read: %w", err)
	}
	var cluster uint64
	if _, err = fmt.Sscanf(string(text), identityFormat, &cluster, (*uint64)(&is.id), &is.incarnation); err != nil {
		_, err = fmt.Sscanf(string(text), formerFormat, &cluster, (*uint64)(&is.id))
	}
	if err != nil || is.id == 0 || string(text) != is.text(cluster) {
		return is, fmt.Errorf("quorate: %s is not a node's identity of format 3 or 2, or it is damaged: put it back from a copy, choose another directory, "+
			"or the version of quorate that wrote it", path)
	}
	switch {
	case cluster != cfg.Cluster:
		return is, fmt.Errorf("quorate: the data directory %s belongs to cluster %016x (says %s), not %016x: choose another directory", cfg.Dir, cluster, path, cfg.Cluster)
	case cfg.ID != 0 && cfg.ID != is.id:
		return is, fmt.Errorf("quorate: the data directory %s belongs to node %016x (says %s), not %016x: choose another directory", cfg.Dir, uint64(is.id), path, uint64(cfg.ID))
	}
	return is, checkLogThere(cfg)
}

// checkLogThere refuses a directory whose log is gone: the node would come up
// without the votes and entries that others count on.
func checkLogThere(cfg *Config) error {
	dir := filepath.Join(cfg.Dir, logDir)
	names, err := cfg.FS.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("quorate: the log cannot be read: %w", err)
	}
	if len(names) == 0 {
		return fmt.Errorf("quorate: the log of this node is missing from %s: put it back, or remove this member from its groups, "+
			"empty its data directory and let it join again", dir)
	}
	return nil
}

// checkIdentityThere refuses a directory that has a log of groups and does not say whose it
// is: under another name the node would take part with promises that it never made, or
// for good in none of them.
func (is identity) checkIdentityThere(cfg *Config, groups int) error {
	if is.id == 0 && groups > 0 {
		return fmt.Errorf("quorate: %s, which says which node this is, is missing, and there is a log with groups: put it back from a copy, or choose another directory", filepath.Join(cfg.Dir, identityFile))
	}
	return nil
}

// introduce gives a directory what it lacks of an identity, once the log is there.
func (is *identity) introduce(cfg *Config) error {
	if is.id == 0 {
		is.id = cfg.ID
	}
	for is.id == 0 {
		is.id = NodeID(cfg.Env.Uint64())
	}
	for is.incarnation == 0 {
		is.incarnation = cfg.Env.Uint64()
	}
	return writeFile(cfg.FS, cfg.Dir, filepath.Join(cfg.Dir, identityFile), []byte(is.text(cfg.Cluster)))
}

// readFile reads a small file, of a limited size in bytes.
func readFile(fs vfs.FS, path string, limit int64) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, limit))
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), text)
	return text, err
}

// writeFile writes a small file so that after a crash it is there whole or not.
func writeFile(fs vfs.FS, dir, path string, text []byte) error {
	f, err := fs.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
