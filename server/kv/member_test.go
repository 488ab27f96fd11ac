package kv_test

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

// fataler is a testing.T or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// member is a machine and the log that led to its state.
type member struct {
	*kv.Machine
	store kv.Store
	index raft.Index
}

func newMember(t fataler, s kv.Store) *member {
	t.Helper()
	m, err := kv.New(s)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return &member{Machine: m, store: s, index: m.Applied()}
}

func inMemory(t fataler) *member { return newMember(t, store.NewMemory()) }

func openDisk(t fataler, fs vfs.FS) *store.Disk {
	t.Helper()
	d, err := store.Open("data", store.Options{FS: fs})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return d
}

// everywhere runs a test with each kind of store.
func everywhere(t *testing.T, test func(t *testing.T, m *member)) {
	t.Run("memory", func(t *testing.T) { test(t, inMemory(t)) })
	t.Run("disk", func(t *testing.T) {
		d := openDisk(t, vfs.NewMem())
		defer d.Close()
		test(t, newMember(t, d))
	})
}

// raw applies encoded commands as one batch, at the indexes that come next.
func (m *member) raw(t fataler, data ...[]byte) []*kv.Result {
	t.Helper()
	batch := make([]quorate.Command, len(data))
	for i := range batch {
		m.index++
		batch[i] = quorate.Command{Index: m.index, Data: data[i]}
	}
	if err := m.Apply(batch); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	results := make([]*kv.Result, len(batch))
	for i := range batch {
		results[i] = batch[i].Result.(*kv.Result)
	}
	return results
}

func (m *member) do(t fataler, actions ...kv.Action) *kv.Result {
	t.Helper()
	var last *kv.Result
	for _, a := range actions {
		last = m.raw(t, kv.Command{Do: a}.Encode())[0]
	}
	return last
}

func (m *member) hash(t fataler) kv.Digest {
	t.Helper()
	d, err := m.Hash()
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	return d
}

func (m *member) snapshot(t fataler) []byte {
	t.Helper()
	view, err := m.Snapshot()
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	defer view.Close()
	var b bytes.Buffer
	n, err := view.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v; wrote %d", n, err, b.Len())
	}
	return b.Bytes()
}

// then is a transaction without conditions.
func then(ops ...kv.Op) kv.Txn { return kv.Txn{Then: ops} }

func put(key, value string) kv.Op { return kv.Put{Key: []byte(key), Value: []byte(value)} }
func del(key string) kv.Op        { return kv.Delete{Key: []byte(key)} }

func delRange(start, end string) kv.Op {
	return kv.Delete{Key: []byte(start), End: []byte(end)}
}
