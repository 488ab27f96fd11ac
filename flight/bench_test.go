package flight_test

import (
	"testing"

	"github.com/quorate-db/quorate/flight"
)

// BenchmarkCommand is what one command costs the core of a lone voter, a proposal, two
// Takes and six reports, and what it costs with all of that recorded.
func BenchmarkCommand(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		for core := lone(b); b.Loop(); {
			work(nil, 1, core, 128)
		}
	})
	b.Run("recorded", func(b *testing.B) {
		r, core, now := flight.New(window, 16<<20), lone(b), uint64(0)
		for b.Loop() {
			now += 10
			r.Clock(now)
			work(r, 1, core, 128)
		}
	})
}
