package kv

// Tally is how often something was done. It is counted as etcd counts: a Put that asks for
// what was there before is also a range, and a transaction is what comes to more than one of
// them. All but the reads are done on every node; the queries of a transaction count where
// its client is, see [Result.Answered].
type Tally struct {
	Puts, Deletes, Ranges uint64
	Txns                  uint64
	PutBytes              uint64  // of keys and values
	Granted               []int64 // the TTLs of leases, in seconds
	Revoked               uint64  // leases
}

// Count has tell told of what is done from now on: of commands once they are committed, of
// reads by whoever reads. It must be called before the machine is given either.
func (m *Machine) Count(tell func(Tally)) { m.count = tell }

func (m *Machine) counted(t Tally) {
	if m.count != nil {
		m.count(t)
	}
}

// work is what one transaction has to do.
type work struct {
	looks         uint64 // ranges that decide what is to be done
	puts, deletes uint64
	ranges        uint64 // for puts and deletes
	queries       uint64
}

// transact counts a transaction that changes something, and has its result say what is
// counted where its client is.
func (t *Tally) transact(w *work, out *Result) {
	rest := w.puts + w.deletes + w.ranges
	t.Puts += w.puts
	t.Deletes += w.deletes
	t.Ranges += w.looks + w.ranges
	t.Txns += several(w.looks) + several(rest)
	out.answered = Answered{Ranges: uint32(w.queries), Txns: uint32(several(rest+w.queries) - several(rest))}
}

// read counts a transaction that changes nothing.
func (t *Tally) read(w *work) {
	t.Ranges += w.looks + w.queries
	t.Txns += several(w.looks + w.queries)
}

func several(n uint64) uint64 {
	if n > 1 {
		return 1
	}
	return 0
}

// Answered is what etcd does, and counts, only where it answers the client of a
// transaction: the queries, and the transaction if it is one only together with them.
type Answered struct{ Ranges, Txns uint32 }

// Answered is what to count where the client is answered with the result.
func (r *Result) Answered() Answered { return r.answered }
