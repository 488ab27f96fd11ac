package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is where a table stands, between two comments.
type place struct{ page, begin, end string }

var (
	coreTable      = place{"docs/explorer.md", "<!-- mutants: written by make mutants -->\n", "<!-- end of mutants -->\n"}
	simulatedTable = place{"docs/mutants.md", "<!-- mutants: written by make mutants-sim -->\n", "<!-- end of mutants -->\n"}
)

// write puts a table into its page.
func (p place) write(root, table string) error {
	name := filepath.Join(root, filepath.FromSlash(p.page))
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(p.begin))
	_, after, ok2 := bytes.Cut(rest, []byte(p.end))
	if !ok || !ok2 {
		return errors.New(p.page + " has no place for the table")
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(p.begin + "\n" + table + "\n" + p.end)
	b.Write(after)
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// coreRows is one row for each mutant.
func coreRows(fates []fate) string {
	var b strings.Builder
	b.WriteString("| the mutant | rule | the explorer finds, in | after states | steps | and says | first script or test to fail |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, f := range fates {
		setup, test := f.found.setup, strings.ReplaceAll(strings.TrimPrefix(f.test, "TestScripts/"), "_", " ")
		if setup == "" {
			setup = "-"
		}
		if test == "" {
			test = "-"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", f.name, f.rule, setup, f.found.states, f.found.steps, f.found.reason, test)
	}
	return b.String()
}

// simulatedRows is one row for each mutant, and then one for each invariant, with
// how many mutants were found by it.
func simulatedRows(falls []downfall) string {
	var b strings.Builder
	b.WriteString("| the mutant | in | rule | found by | seeds | seconds | which says |\n|---|---|---|---|---|---|---|\n")
	by := map[string]int{}
	for _, d := range falls {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %.1f | %s |\n", d.name, d.file, d.rule, d.invariant, d.seeds, d.took.Seconds(), d.says)
		by[d.invariant]++
	}
	b.WriteString("\n| invariant | mutants that it found |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(&b, "| %s | %d |\n", name, by[name])
	}
	return b.String()
}
