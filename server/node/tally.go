package node

import (
	"math/bits"
	"sync/atomic"

	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/kv"
)

// tally adds up what is done to keys and leases. Any goroutine may add.
type tally struct {
	puts, deletes, ranges atomic.Uint64
	txns, putBytes        atomic.Uint64
	granted, revoked      atomic.Uint64
	ttlSeconds            atomic.Uint64
	ttls                  [httpapi.TTLClasses]atomic.Uint64
}

func (t *tally) add(more kv.Tally) {
	add(&t.puts, more.Puts)
	add(&t.deletes, more.Deletes)
	add(&t.ranges, more.Ranges)
	add(&t.txns, more.Txns)
	add(&t.putBytes, more.PutBytes)
	add(&t.revoked, more.Revoked)
	for _, ttl := range more.Granted {
		add(&t.granted, 1)
		add(&t.ttlSeconds, uint64(ttl))
		add(&t.ttls[min(bits.Len64(uint64(ttl-1)), len(t.ttls)-1)], 1)
	}
}

// answered adds what is done only where a client is.
func (t *tally) answered(a kv.Answered) {
	add(&t.ranges, uint64(a.Ranges))
	add(&t.txns, uint64(a.Txns))
}

func add(to *atomic.Uint64, n uint64) {
	if n > 0 {
		to.Add(n)
	}
}

func (t *tally) now() httpapi.Done {
	d := httpapi.Done{
		Puts: t.puts.Load(), Deletes: t.deletes.Load(), Ranges: t.ranges.Load(), Txns: t.txns.Load(), PutBytes: t.putBytes.Load(),
		Granted: t.granted.Load(), Revoked: t.revoked.Load(), TTLSeconds: t.ttlSeconds.Load(),
	}
	for i := range d.TTLs {
		d.TTLs[i] = t.ttls[i].Load()
	}
	return d
}
