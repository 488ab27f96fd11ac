package flight_test

import (
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/quorate-db/quorate/flight"
)

// maxTaken is what a small file may make a program take, in bytes: a log of as many
// entries as a recording may have, while it grows, and the zeros that stand for commands.
const maxTaken = 2 << 30

// Nothing that a file can hold makes Read or Play panic or take memory without bound. The
// checksum is put right: it keeps out accidents, not somebody who sends a file.
func FuzzRead(f *testing.F) {
	r, core := flight.New(window, 1<<20), lone(f)
	work(r, 1, core, 10)
	for _, why := range []string{"", "V1: a term fell"} {
		d, _ := r.Dump(1, why)
		file := d.Append(nil)
		f.Add(file[:len(file)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 64<<10 {
			return
		}
		file := binary.LittleEndian.AppendUint32(body[:len(body):len(body)], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if d, err := flight.Read(file); err == nil {
			_, _ = d.Play(&watcher{}) // whatever it says
		}
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > maxTaken {
			t.Fatalf("%d bytes made it take %d", len(file), taken)
		}
	})
}
