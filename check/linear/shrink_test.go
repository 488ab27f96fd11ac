package linear

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// clients plays a few clients against one key of a store that is right, and
// returns what they saw. Every operation takes effect at a moment of its own.
func clients(rng *rand.Rand, count int) []Operation {
	var history []Operation
	var s state
	var told []Operation // with the revisions that conditions may name
	store := uint64(1)
	for i := range count {
		at := int64(i) * 10
		o := Operation{Client: i, Key: "k", Call: at - rng.Int64N(60), Return: at + rng.Int64N(60), Outcome: OK}
		o.Kind = []Kind{Put, Put, Get, Get, Delete}[rng.IntN(5)]
		if o.Kind == Put {
			o.Value = fmt.Sprint(i)
		}
		known := slices.DeleteFunc(slices.Clone(told), func(t Operation) bool { return t.Return >= o.Call })
		if o.Kind != Get && rng.IntN(3) == 0 && len(known) > 0 {
			o.IfMatch = known[max(0, len(known)-1-rng.IntN(2))].Revision
		} else if o.Kind == Put && rng.IntN(3) == 0 {
			o.IfAbsent = true
		}
		if rng.IntN(8) == 0 {
			o.Outcome, o.Return = Unknown, 0
		}
		if o.Outcome == Unknown && rng.IntN(2) == 0 { // never carried out
			history = append(history, o)
			continue
		}
		s, store = carryOut(&o, s, store)
		if o.Outcome == OK && o.Kind != Delete {
			told = append(told, o)
		}
		history = append(history, o)
	}
	return history
}

// carryOut fills in what a store in this state answers.
func carryOut(o *Operation, s state, store uint64) (state, uint64) {
	holds := (o.IfMatch == 0 || s.exists && s.revision == o.IfMatch) && (!o.IfAbsent || !s.exists)
	tell := func(outcome Outcome, revision uint64) {
		if o.Outcome != Unknown {
			o.Outcome, o.Revision = outcome, revision
		}
	}
	switch {
	case o.Kind == Get && o.Outcome == Unknown:
	case o.Kind == Get && s.exists:
		o.Value, o.Revision, o.Store = s.value, s.revision, store
	case o.Kind == Get:
		o.Outcome, o.Store = Absent, store
	case !holds:
		tell(Refused, 0)
	case o.Kind == Delete && !s.exists:
		tell(Absent, store)
	case o.Kind == Delete:
		store++
		tell(OK, store)
		return state{}, store
	default:
		store++
		tell(OK, store)
		return state{exists: true, value: o.Value, revision: store}, store
	}
	return s, store
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
			if search(next, 10*time.Second) != porcupine.Ok {
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
