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
//	quorate data 2
//	cluster 0123456789abcdef
//	node 0123456789abcdef
//	crc32c c146e888
//
// The last line is the CRC-32C of those before: a digit that has changed must not
// make this another node.
const (
	logDir         = "wal"
	snapshotDir    = "snap"
	identityFile   = "node"
	identityFormat = "quorate data 2\ncluster %016x\nnode %016x\n"
)

// identityText is the file's content.
func identityText(cluster uint64, id NodeID) string {
	text := fmt.Sprintf(identityFormat, cluster, uint64(id))
	return fmt.Sprintf("%scrc32c %08x\n", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// identify compares the directory's identity with the configuration's and returns
// it, or zero if the directory has none yet.
func identify(cfg *Config) (NodeID, error) {
	path := filepath.Join(cfg.Dir, identityFile)
	text, err := readFile(cfg.FS, path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("quorate: the data directory cannot be read: %w", err)
	}
	var cluster uint64
	var id NodeID
	_, err = fmt.Sscanf(string(text), identityFormat, &cluster, (*uint64)(&id))
	if err != nil || id == 0 || string(text) != identityText(cluster, id) {
		return 0, fmt.Errorf("quorate: %s is not a node's identity of format 2, or it is damaged: put it back from a copy, choose another directory, "+
			"or the version of quorate that wrote it", path)
	}
	switch {
	case cluster != cfg.Cluster:
		return 0, fmt.Errorf("quorate: the data directory %s belongs to cluster %016x (says %s), not %016x: choose another directory", cfg.Dir, cluster, path, cfg.Cluster)
	case cfg.ID != 0 && cfg.ID != id:
		return 0, fmt.Errorf("quorate: the data directory %s belongs to node %016x (says %s), not %016x: choose another directory", cfg.Dir, uint64(id), path, uint64(cfg.ID))
	}
	return id, checkLogThere(cfg)
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

// introduce gives a new directory its identity, once the log is there.
func introduce(cfg *Config) (NodeID, error) {
	id := cfg.ID
	for id == 0 {
		id = NodeID(cfg.Env.Uint64())
	}
	text := []byte(identityText(cfg.Cluster, id))
	return id, writeFile(cfg.FS, cfg.Dir, filepath.Join(cfg.Dir, identityFile), text)
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, 4<<10))
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
