package linear

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// clients plays a few clients against two keys of a store that is right, and
// returns what they saw. Every operation takes effect at a moment of its own.
func clients(rng *rand.Rand, count int) []Operation {
	var history []Operation
	s := &shop{cells: map[string]cell{}, revision: 1}
	var told []Operation // with the revisions that conditions may name
	for i := range count {
		at := int64(i) * 10
		known := slices.DeleteFunc(slices.Clone(told), func(t Operation) bool { return t.Return >= at-60 })
		o := Operation{Client: i, Call: at - rng.Int64N(60), Return: at + rng.Int64N(60), Outcome: OK}
		switch parts := drawParts(rng, i, known); {
		case len(parts) > 1 || rng.IntN(8) == 0:
			o.Kind, o.Parts = Txn, parts
		default:
			p := parts[0]
			o.Kind, o.Key, o.Value, o.IfMatch, o.IfAbsent = p.Kind, p.Key, p.Value, p.IfMatch, p.IfAbsent
			if p.Kind == Get {
				o.IfMatch, o.IfAbsent = 0, false
			}
		}
		if rng.IntN(8) == 0 {
			o.Outcome, o.Return = Unknown, 0
		}
		if o.Outcome != Unknown || rng.IntN(2) == 0 { // or else it was never carried out
			s.carryOut(&o)
		}
		if o.Outcome == OK && !o.reads() {
			told = append(told, o)
		}
		history = append(history, o)
	}
	return history
}

// drawParts draws what is done to one key or both.
func drawParts(rng *rand.Rand, i int, known []Operation) []Part {
	keys := [][]string{{"k"}, {"l"}, {"k", "l"}}[rng.IntN(3)]
	only := rng.IntN(3) // a transaction that reads only, or writes only, or whatever comes
	var parts []Part
	for _, key := range keys {
		p := Part{Key: key, Kind: []Kind{Get, Put, []Kind{Put, Put, Get, Get, Delete}[rng.IntN(5)]}[only]}
		if p.Kind == Put {
			p.Value = fmt.Sprint(i)
		}
		if rng.IntN(3) == 0 && len(known) > 0 {
			p.IfMatch = known[max(0, len(known)-1-rng.IntN(2))].Revision
		} else if p.Kind == Put && rng.IntN(3) == 0 {
			p.IfAbsent = true
		}
		parts = append(parts, p)
	}
	return parts
}

// shop is a store that is right.
type shop struct {
	cells    map[string]cell
	revision uint64
}

// carryOut carries an operation out and fills in what the store answers, unless
// nobody hears it.
func (s *shop) carryOut(o *Operation) {
	tell := o.Outcome != Unknown
	answer := func(outcome Outcome, revision, store uint64) {
		if tell {
			o.Outcome, o.Revision, o.Store = outcome, revision, store
		}
	}
	changes, there := false, false
	for _, p := range o.parts() {
		now := s.cells[p.Key]
		if p.IfMatch != 0 && now.revision != p.IfMatch || p.IfAbsent && now.exists {
			answer(Refused, 0, 0)
			return
		}
		changes = changes || p.Kind == Put || p.Kind == Delete && now.exists
		there = there || now.exists
	}
	if changes {
		s.revision++
	}
	read := map[bool]Outcome{true: OK, false: Absent}
	for i, p := range o.parts() {
		now := s.cells[p.Key]
		switch {
		case p.Kind == Put:
			s.cells[p.Key] = cell{true, p.Value, s.revision}
		case p.Kind == Delete:
			delete(s.cells, p.Key)
		case tell && o.Kind == Txn:
			q := &o.Parts[i]
			q.Outcome, q.Value, q.Revision = read[now.exists], now.value, now.revision
		case tell:
			o.Value = now.value
		}
	}
	switch {
	case o.Kind == Get:
		answer(read[there], s.cells[o.Key].revision, s.revision)
	case o.Kind == Delete:
		answer(read[there], s.revision, 0)
	case o.reads():
		answer(OK, 0, s.revision)
	default:
		answer(OK, s.revision, 0)
	}
}

// A shrinker that could break a legal history would show its user contradictions
// that it made itself. Every step that it may take is tried on legal histories.
func TestShrinkingNeverInventsAContradiction(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		part := clients(rng, 25)
		slices.SortStableFunc(part, func(a, b Operation) int { return int(a.Call - b.Call) })
		if err := resolve(part); err != nil {
			t.Fatal(err)
		}
		legal := func(what string, next []Operation) []Operation {
			if search(next, effort{time: 10 * time.Second}) != porcupine.Ok {
				t.Fatalf("seed %d: %s broke a legal history:\n%s\nwas\n%s", seed, what, Text(next), Text(part))
			}
			return next
		}
		part = legal("nothing", part)
		part = legal("a prefix", until(part, part[rng.IntN(len(part))].Return+int64(rng.IntN(50))))
		for range 40 {
			if len(part) == 0 {
				break
			}
			i := rng.IntN(len(part))
			end := i + 1 + rng.IntN(min(3, len(part)-i))
			if rest := slices.Concat(part[:i], part[end:]); unnoticed(part[i:end], rest) {
				part = legal("leaving out", rest)
				continue
			}
			if weaker, ok := part[i].weaker(); ok {
				next := slices.Clone(part)
				next[i] = weaker
				part = legal("weakening", next)
			}
		}
	}
}
