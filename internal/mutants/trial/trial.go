// Package trial is a program of which a broken copy is built: it carries out the
// simulator's plans of a range of seeds, one after the other, until something is
// found wrong. It prints that and exits with 2.
package trial

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/quorate-db/quorate/sim"
)

// patience bounds one run; a whole one takes a tenth of a second.
const patience = time.Minute

// Main is the program; the store is that of the setup.
func Main(setup sim.Setup) {
	first := flag.Uint64("first", 1, "the first seed")
	count := flag.Uint64("count", 500, "how many seeds")
	flag.Parse()
	for seed := *first; seed < *first+*count; seed++ {
		watch := time.AfterFunc(patience, func() { found(seed, seed-*first+1, "endless", "the run does not end") })
		r, err := sim.Execute(sim.Draw(seed, sim.Limits{}), setup)
		watch.Stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, "seeds:", err)
			os.Exit(1)
		}
		if r.Err != nil {
			found(seed, seed-*first+1, sim.Kind(r.Err), r.Err.Error())
		}
	}
}

// found tells of a violation, in one line, and ends the program.
func found(seed, runs uint64, kind, text string) {
	text, _, _ = strings.Cut(text, "\n")
	fmt.Printf("FOUND %d %d %q %s\n", seed, runs, kind, text)
	os.Exit(2)
}
