package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
)

// What must come of it: so many mutants, of which none survives so many seeds, and
// the forgetful node not even some of them.
const (
	mutantsWanted  = 40
	forgetfulSeeds = 50
)

// simulated are the mutants that the simulator gets to see.
func simulated() []mutant {
	all := append([]mutant{forgetful}, outer...)
	for _, m := range mutants {
		if shown[m.name] {
			all = append(all, m)
		}
	}
	return all
}

// downfall is how a mutant ended in the simulator.
type downfall struct {
	mutant
	seeds     int // that it took; zero: it survived
	took      time.Duration
	invariant string
	says      string
}

func (d downfall) survives() bool { return d.seeds == 0 }

func (d downfall) String() string {
	if d.survives() {
		return fmt.Sprintf("%-62s %-18s SURVIVES, %.1fs", d.name, d.file, d.took.Seconds())
	}
	return fmt.Sprintf("%-62s %-18s %-20s %3d seeds, %5.1fs: %s", d.name, d.file, d.invariant, d.seeds, d.took.Seconds(), d.says)
}

var foundBySeed = regexp.MustCompile(`(?m)^FOUND \d+ (\d+) "([^"]*)" (.*)$`)

// story asks the test that is told of a mutant, if there is one, and returns its name if
// it fails.
func (b *bench) story(m mutant) (string, error) {
	w := told[m.name]
	if w == (witness{}) {
		return "", nil
	}
	return b.test("-run", "^"+w.test+"$", w.dir)
}

// trial is the program that a mutant is built into.
func trial(m mutant) string {
	if ofStaging[m.name] || strings.HasPrefix(m.file, "server/") {
		return "./server/simulate/seeds"
	}
	return "./internal/mutants/seeds"
}

// simulate lets the simulator have a look at a mutant.
func (b *bench) simulate(m mutant, seeds int) (downfall, error) {
	d := downfall{mutant: m}
	if err := b.build(m, trial(m)); err != nil {
		return d, err
	}
	begun := time.Now()
	out, err := b.run(b.binary, "-count", strconv.Itoa(seeds))
	d.took = time.Since(begun)
	if err == nil {
		if d.invariant, err = b.story(m); d.invariant != "" {
			d.seeds, d.says = seeds, "no seed does"
		}
		return d, err
	}
	match := foundBySeed.FindStringSubmatch(out)
	if match == nil {
		return d, fmt.Errorf("the simulator does not say what it found: %w\n%s", err, out)
	}
	d.seeds, err = strconv.Atoi(match[1])
	d.invariant, d.says = match[2], strings.TrimPrefix(match[3], match[2]+": ")
	return d, err
}

// runSimulated breaks one rule after the other and lets the simulator look for it.
func runSimulated(b *bench, seeds int, only string, write bool) error {
	var falls []downfall
	surviving, forgot := 0, seeds+1
	for _, m := range simulated() {
		if !strings.Contains(m.name, only) {
			continue
		}
		d, err := b.simulate(m, seeds)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Println(d)
		if d.survives() {
			surviving++
		} else if m == forgetful {
			forgot = d.seeds
		}
		falls = append(falls, d)
	}
	if write {
		if only != "" {
			return errors.New("a table of some of the mutants is not written: leave out -only or -write")
		}
		if err := simulatedTable.write(b.root, simulatedRows(falls)); err != nil {
			return err
		}
	}
	goal.AtMost(os.Stdout, "sim_mutants_surviving", float64(surviving), 0)
	goal.AtLeast(os.Stdout, "sim_mutants", float64(len(falls)), mutantsWanted)
	goal.AtMost(os.Stdout, "forgetful_node_seeds", float64(forgot), forgetfulSeeds)
	return nil
}

// shown are the mutants of the core, by name, that the simulator gets to see too:
// of each chapter those that break safety in a whole cluster.
var shown = set(
	"two votes in a term",
	"a vote leaves before it is durable",
	"a candidate asks before its own vote is durable",
	"a vote alone is no reason to write",
	"a vote is forgotten by a start",
	"half of the votes make a leader",
	"a leader stays one in a newer term",
	"an acknowledgement leaves before it is durable",
	"a gap is accepted",
	"a late message cuts the log",
	"a conflict is not cut",
	"commit rises beyond what the message vouches for",
	"a heartbeat tells of more than the follower holds",
	"a refusal is taken for an acknowledgement",
	"the leader counts its own disk before it has written",
	"what is durable outlives a cut",
	"half of the disks commit",
	"an entry of an earlier term is committed by counting",
	"the state machine runs ahead of the disk",
	"a change may follow one that is pending",
	"the new voters alone commit",
	"a learner has a vote",
	"a snapshot drops what follows it",
	"a read is answered before the leader has committed in its term",
	"a read is answered without a round",
	"an earlier round confirms a read",
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}
