// Command mutants breaks one rule of the core at a time and looks who notices:
// the explorer of package raft/explore, the scripts of raft/testdata, or else
// another test of the core. The tree is not touched: the go command builds the
// broken core from an overlay.
//
//	go run ./internal/mutants [-states N] [-only WORDS] [-write]
//
// It prints a line for each mutant and a GOAL line, and with -write puts the table
// into docs/explorer.md. A mutant that does not compile, or whose text is not in
// the core exactly once, is a mistake in list.go and ends it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	states := flag.Int("states", 100_000, "the explorer visits at most this many states of each setup")
	only := flag.String("only", "", "look at the mutants with these words in their name")
	write := flag.Bool("write", false, "put the table into "+page)
	flag.Parse()
	if err := run(*states, *only, *write); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(states int, only string, write bool) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	b, err := newBench(root)
	if err != nil {
		return err
	}
	defer b.close()
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
		if err := writeTable(root, fates); err != nil {
			return err
		}
	}
	verdict := "ok"
	if surviving > 0 {
		verdict = "short"
	}
	fmt.Printf("GOAL mutants_surviving %d 0 %s\n", surviving, verdict)
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
