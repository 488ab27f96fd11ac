package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-db/quorate/server/kv"
)

// View is the content as of the last commit. It holds files open until closed. All who
// ask between two commits share one.
func (d *Disk) View() kv.View {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return closedView{}
	}
	if d.shared == nil {
		d.readers.Add(1)
		d.now.uses++
		d.shared = d.now.view(d)
	}
	d.shared.users++
	return d.shared
}

// view must only be called while the generation is held.
func (g *generation) view(d *Disk) *diskView {
	// No commit may begin or end in between, or the moment would not be that of the
	// snapshot.
	g.hot.mu.RLock()
	defer g.hot.mu.RUnlock()
	return &diskView{disk: d, from: g, snap: g.db.NewSnapshot(), at: g.hot.moment, users: 1}
}

// unshare lets the next view be a new one.
func (d *Disk) unshare() error {
	d.mu.Lock()
	was := d.shared
	d.shared = nil
	d.mu.Unlock()
	if was == nil {
		return nil
	}
	return was.Close()
}

// diskView is the content at a moment.
type diskView struct {
	disk  *Disk
	from  *generation
	snap  *pebble.Snapshot
	at    uint64 // moment of from.hot
	users int    // and one for being shared; guarded by Disk.mu
}

func (v *diskView) Get(key []byte) ([]byte, error) {
	if value, known := v.from.hot.get(key, v.at); known {
		return value, nil
	}
	value, err := get(v.snap, key)
	if value != nil && kv.UseOf(key) != kv.Walked {
		v.from.hot.learn(key, value, v.at)
	}
	return value, err
}

func (v *diskView) Iterate() kv.Iterator { return iterate(v.snap) }

func (v *diskView) Close() error {
	v.disk.mu.Lock()
	v.users--
	last := v.users == 0
	v.disk.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(v.snap.Close(), v.disk.release(v.from))
}
