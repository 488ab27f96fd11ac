package vfs

import (
	"errors"
	"path/filepath"
	"slices"
	"time"
)

// SyncMode is how [OS] makes durable what was written to a file.
type SyncMode string

// The modes. Linux has the latter two; elsewhere it is always fsync.
const (
	Fsync     SyncMode = "fsync"
	Fdatasync SyncMode = "fdatasync" // as fsync, without what nobody reads back: the times of the file
	DSync     SyncMode = "O_DSYNC"   // writes over what is there wait for the disk themselves, others for fdatasync
)

// SyncMode is the mode that o works in.
func (o OS) SyncMode() SyncMode {
	if slices.Contains(syncModes, o.Mode) {
		return o.Mode
	}
	return syncModes[0]
}

// ModeOf is the mode that a file system works in; empty if it has none, as one in memory.
func ModeOf(disk FS) SyncMode {
	if d, ok := disk.(interface{ SyncMode() SyncMode }); ok {
		return d.SyncMode()
	}
	return ""
}

// Trial is what a block written and made durable takes in each mode: the median of some.
// Zero: that was not measured.
type Trial struct{ Fdatasync, DSync time.Duration }

// choose takes O_DSYNC only where it is clearly the faster: a tenth may be chance.
func (t Trial) choose() SyncMode {
	if t.Fdatasync > 0 && t.DSync > 0 && t.DSync < t.Fdatasync-t.Fdatasync/10 {
		return DSync
	}
	return Fdatasync
}

const (
	trialFile   = "sync-trial.tmp"
	trialBlock  = 4 << 10
	trialBlocks = 16 // in the file
	trialWrites = 24 // in each mode
	fewWrites   = 8  // in each mode, or the medians say nothing
	trialTime   = 50 * time.Millisecond
)

// Tune returns the [OS] in the mode that is the faster one in dir, if it is one whose Mode is
// empty and the system has two; any other file system as it is. It writes to a file in dir for
// some 50 ms at most, and takes fdatasync if that is too short, or if it fails: then the
// error says why, and nothing else is wrong. What it leaves if it is killed the next call
// takes away.
func Tune(disk FS, dir string, now func() time.Time) (FS, Trial, error) {
	if o, ok := disk.(OS); !ok || o.Mode != "" || len(syncModes) < 2 {
		return disk, Trial{}, nil
	}
	path := filepath.Join(dir, trialFile)
	t, err := try(path, now)
	if err != nil {
		t = Trial{}
	}
	return OS{Mode: t.choose()}, t, errors.Join(err, OS{}.Remove(path))
}

func try(path string, now func() time.Time) (t Trial, err error) {
	end := now().Add(trialTime)
	plain, err := OS{Mode: Fdatasync}.Create(path)
	if err != nil {
		return Trial{}, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	// As the files of the log: written before.
	if _, err := write(plain, make([]byte, trialBlocks*trialBlock), 0, now); err != nil {
		return Trial{}, err
	}
	waits, err := OS{Mode: DSync}.Open(path)
	if err != nil {
		return Trial{}, err
	}
	defer func() { err = errors.Join(err, waits.Close()) }()
	files := [...]File{plain, waits}
	var took [len(files)][]time.Duration
	block := make([]byte, trialBlock)
	for n := range 1 + trialWrites {
		for turn := range files {
			if now().After(end) {
				return trialOf(took), nil
			}
			i := (n + turn) % len(files)
			d, err := write(files[i], block, int64(n%trialBlocks)*trialBlock, now)
			if err != nil {
				return Trial{}, err
			}
			if n > 0 { // before its first Sync a file is in no mode
				took[i] = append(took[i], d)
			}
		}
	}
	return trialOf(took), nil
}

func write(f File, data []byte, at int64, now func() time.Time) (time.Duration, error) {
	began := now()
	_, err := f.WriteAt(data, at)
	if err == nil {
		err = f.Sync()
	}
	return now().Sub(began), err
}

func trialOf(took [2][]time.Duration) (t Trial) {
	if len(took[0]) < fewWrites || len(took[1]) < fewWrites {
		return Trial{}
	}
	for i, median := range []*time.Duration{&t.Fdatasync, &t.DSync} {
		slices.Sort(took[i])
		*median = took[i][len(took[i])/2]
	}
	return t
}
