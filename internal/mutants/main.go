// Command mutants breaks one rule at a time and looks who notices. The tree is not
// touched: the go command builds the broken program from an overlay.
//
//	go run ./internal/mutants [-states N] [-only WORDS] [-write]
//	go run ./internal/mutants -sim [-seeds N] [-only WORDS] [-write]
//
// The first breaks the core and asks the explorer of package raft/explore, the
// scripts of raft/testdata, or else another test of the core. The second breaks
// everything from the core to the host and asks the simulator. Each prints a line
// for each mutant and GOAL lines, and with -write puts a table into the docs.
// A mutant that does not compile, or whose text is not in its file exactly once, is
// a mistake in one of the lists (list.go, outer.go) and ends it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/quorate-db/quorate/internal/goal"
)

func main() {
	states := flag.Int("states", 100_000, "the explorer visits at most this many states of each setup")
	simulate := flag.Bool("sim", false, "ask the simulator, and not the explorer and the tests of the core")
	seeds := flag.Int("seeds", 500, "the simulator tries at most this many seeds")
	only := flag.String("only", "", "look at the mutants with these words in their name")
	write := flag.Bool("write", false, "put the table into "+coreTable.page+" or "+simulatedTable.page)
	flag.Parse()
	err := onBench(func(b *bench) error {
		if *simulate {
			return runSimulated(b, *seeds, *only, *write)
		}
		return run(b, *states, *only, *write)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// onBench does something with a bench in this repository.
func onBench(do func(*bench) error) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	b, err := newBench(root)
	if err != nil {
		return err
	}
	defer b.close()
	return do(b)
}

// run breaks one rule of the core after the other.
func run(b *bench, states int, only string, write bool) error {
	var fates []fate
	surviving := 0
	for _, m := range mutants {
		if !strings.Contains(m.name, only) {
			continue
		}
		f, err := b.kill(m, states)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Println(f)
		if f.survives() {
			surviving++
		}
		fates = append(fates, f)
	}
	if write {
		if err := coreTable.write(b.root, coreRows(fates)); err != nil {
			return err
		}
	}
	goal.AtMost(os.Stdout, "mutants_surviving", float64(surviving), 0)
	return nil
}

// fate is what became of a mutant.
type fate struct {
	mutant
	found finding // by the explorer; zero if it was not
	test  string  // the first script or test that fails; empty if none does
}

func (f fate) survives() bool { return f.found == (finding{}) && f.test == "" }

func (f fate) String() string {
	explorer, test := "not found", "not noticed"
	if f.found != (finding{}) {
		explorer = f.found.String()
	}
	if f.test != "" {
		test = f.test
	}
	return fmt.Sprintf("%-5s %-70s explorer: %s; tests: %s", f.rule, f.name, explorer, test)
}
