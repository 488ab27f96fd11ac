package store

import (
	"bytes"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/quorate-db/quorate/server/kv"
)

type pair struct{ key, value []byte }

// tree is an ordered map whose copy costs nothing: the two share their nodes
// until one of them changes.
type tree = btree.BTreeG[pair]

func newTree() *tree {
	less := func(a, b pair) bool { return bytes.Compare(a.key, b.key) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// Memory is a store that forgets everything with its process.
type Memory struct {
	// Copying a tree marks it, so the one that batches are copied from is not the
	// one that readers hold.
	base      *tree
	published atomic.Pointer[tree]

	mu     sync.Mutex
	staged map[uint64]*tree
}

var _ kv.Store = (*Memory)(nil)

// NewMemory is an empty store.
func NewMemory() *Memory {
	m := &Memory{}
	m.publish(newTree())
	return m
}

func (m *Memory) publish(t *tree) {
	m.base = t
	m.published.Store(t.Copy())
}

// View is the content as of the last commit.
func (m *Memory) View() kv.View { return memoryView{m.published.Load()} }

// Copy returns a store with the content as of the last commit, without what is staged; the two
// have nothing more to do with each other. It costs nothing until one of them changes.
func (m *Memory) Copy() *Memory {
	c := &Memory{}
	c.publish(m.base.Copy())
	return c
}

// Batch begins a change.
func (m *Memory) Batch() kv.Batch { return memoryBatch{memoryView{m.base.Copy()}, m} }

// Replace replaces the content.
func (m *Memory) Replace(fill func(set func(key, value []byte) error) error) error {
	t, err := filled(fill)
	if err == nil {
		m.publish(t)
	}
	return err
}

func filled(fill func(set func(key, value []byte) error) error) (*tree, error) {
	t := newTree()
	return t, fill(func(key, value []byte) error {
		t.Set(pair{bytes.Clone(key), append([]byte{}, value...)})
		return nil
	})
}

// Stage keeps a content beside.
func (m *Memory) Stage(at uint64, fill func(set func(key, value []byte) error) error) error {
	t, err := filled(fill)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.staged == nil {
		m.staged = map[uint64]*tree{}
	}
	m.staged[at] = t
	return nil
}

// Adopt replaces the content by one that was staged.
func (m *Memory) Adopt(at uint64) (bool, error) {
	m.mu.Lock()
	t := m.staged[at]
	delete(m.staged, at)
	m.mu.Unlock()
	if t != nil {
		m.publish(t)
	}
	return t != nil, nil
}

// Inherit takes what another store has staged.
func (m *Memory) Inherit(from *Memory) {
	from.mu.Lock()
	defer from.mu.Unlock()
	m.staged = maps.Clone(from.staged)
}

// Unstage forgets what was staged up to a number.
func (m *Memory) Unstage(upTo uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.staged, func(at uint64, _ *tree) bool { return at <= upTo })
	return nil
}

// Sync has nothing to do.
func (m *Memory) Sync() error { return nil }

type memoryView struct{ tree *tree }

func (v memoryView) Get(key []byte) ([]byte, error) {
	p, ok := v.tree.Get(pair{key: key})
	if !ok {
		return nil, nil
	}
	return append([]byte{}, p.value...), nil
}

func (v memoryView) Iterate() kv.Iterator { return &memoryIterator{v.tree.Iter()} }

func (v memoryView) Close() error { return nil }

type memoryIterator struct{ btree.IterG[pair] }

func (it *memoryIterator) Seek(key []byte) bool { return it.IterG.Seek(pair{key: key}) }

func (it *memoryIterator) Pair() (key, value []byte) {
	p := it.Item()
	return p.key, p.value
}

func (it *memoryIterator) Close() error { return nil }

type memoryBatch struct {
	memoryView
	store *Memory
}

func (b memoryBatch) Set(key, value []byte) {
	b.tree.Set(pair{bytes.Clone(key), append([]byte{}, value...)})
}

func (b memoryBatch) Delete(key []byte) { b.tree.Delete(pair{key: key}) }

func (b memoryBatch) Commit() error {
	b.store.publish(b.tree)
	return nil
}
