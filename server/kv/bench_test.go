package kv_test

import (
	"fmt"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

// BenchmarkApply puts 256-byte values under 10,000 keys; an operation is a batch.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("memory/batch=%d", size), func(b *testing.B) {
			benchmarkApply(b, inMemory(b), size)
		})
		b.Run(fmt.Sprintf("disk/batch=%d", size), func(b *testing.B) {
			d, err := store.Open(b.TempDir(), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			benchmarkApply(b, newMember(b, d), size)
		})
	}
}

func benchmarkApply(b *testing.B, m *member, size int) {
	commands := make([][]byte, 10_000)
	for i := range commands {
		key := fmt.Appendf(nil, "key%06d", i*7919%len(commands))
		commands[i] = kv.Command{Millis: 1_700_000_000_000, Do: then(kv.Put{Key: key, Value: make([]byte, 256)})}.Encode()
	}
	batch := make([]quorate.Command, size)
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			next++
			batch[i] = quorate.Command{Index: raft.Index(next), Data: commands[next%len(commands)]}
		}
		if err := m.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "puts/s")
}

// BenchmarkGet reads one key of 10,000 while nothing is written.
func BenchmarkGet(b *testing.B) {
	d, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	m := newMember(b, d)
	for i := range 10_000 {
		m.do(b, then(put(fmt.Sprintf("key%06d", i), "value")))
	}
	key := []byte("key005000")
	b.ReportAllocs()
	for b.Loop() {
		if got, _, err := m.Get(key, 0); err != nil || got == nil {
			b.Fatal(got, err)
		}
	}
}

// BenchmarkRange reads 1,000 of 10,000 keys, each of which has been put 20 times.
func BenchmarkRange(b *testing.B) {
	d, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	m := newMember(b, d)
	batch := make([]quorate.Command, 1_000)
	for n := 0; n < 20*10_000; {
		for i := range batch {
			n++
			key := fmt.Appendf(nil, "key%06d", n*7919%10_000)
			batch[i] = quorate.Command{Index: raft.Index(n), Data: kv.Command{Do: then(kv.Put{Key: key, Value: make([]byte, 256)})}.Encode()}
		}
		if err := m.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n = (n + 7919) % 9_000 {
		start, end := fmt.Appendf(nil, "key%06d", n), fmt.Appendf(nil, "key%06d", n+1_000)
		if page, err := m.Range(kv.Query{Start: start, End: end, Count: true}); err != nil || len(page.KVs) != 1_000 {
			b.Fatal(len(page.KVs), err)
		}
	}
}

// BenchmarkOpen opens an empty store on a real disk.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		d, err := store.Open(dir, store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
