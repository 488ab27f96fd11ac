package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quorate-db/quorate/server/backup"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/vfs"
)

// Restore makes the data directory of a member of a new cluster that begins with what
// a backup holds. All first members are made of the same file and told the same
// cluster. The directory must not exist, or be empty. bump, unless zero, is how much
// the revision rises; see [kv.Machine.Bump].
func Restore(cfg *Config, path string, bump int64) (err error) {
	file, err := backup.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	dir := cfg.DataDir
	if files, err := os.ReadDir(dir); err == nil && len(files) > 0 {
		return fmt.Errorf("--data-dir %s is not empty: name another, a member's data are never overwritten", dir)
	}
	if err := (vfs.OS{}).MakeDir(dir); err != nil {
		return fmt.Errorf("--data-dir %s cannot be made: %w", dir, err)
	}
	kept, err := store.Open(filepath.Join(dir, "kv"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	machine, err := kv.New(kept)
	if err != nil {
		return err
	}
	if err := machine.Restore(file); err != nil {
		return err
	}
	origin := hex.EncodeToString(file.Sum[:8])
	if bump != 0 {
		if err := machine.Bump(bump); err != nil {
			return err
		}
		origin += fmt.Sprintf("+%d", bump) // members that began otherwise never meet
	}
	if err := machine.Sync(); err != nil {
		return err
	}
	// Last: without it the directory is nobody's.
	id := bootstrapIdentity(cfg, origin)
	id.From = uint64(machine.Applied())
	return id.write(dir)
}
