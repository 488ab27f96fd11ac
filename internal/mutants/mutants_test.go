package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every mutant fits the program as it is now, and those of the core break a rule or
// an invariant that it claims to keep.
func TestEveryMutantFits(t *testing.T) {
	if len(mutants) < 25 || len(simulated()) < mutantsWanted {
		t.Errorf("%d mutants of the core, %d for the simulator", len(mutants), len(simulated()))
	}
	rules, err := os.ReadFile(filepath.Join(root(t), "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	invariant := regexp.MustCompile(`^V[0-9]+$`)
	dir, seen := root(t), map[string]bool{}
	for _, m := range slices.Concat(mutants, outer, []mutant{forgetful}) {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		text, err := m.mutated(dir)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if strings.Contains(string(text), m.old) && !strings.Contains(m.new, m.old) {
			t.Errorf("%s: changes nothing", m.name)
		}
		core := strings.HasPrefix(m.file, "raft/")
		if core && !invariant.MatchString(m.rule) && !strings.Contains(string(rules), "</a>"+m.rule+" |") {
			t.Errorf("%s: breaks %s, which docs/rules.md does not have", m.name, m.rule)
		}
	}
	for name := range shown {
		if !seen[name] {
			t.Errorf("the simulator is to see %q, and there is no such mutant", name)
		}
	}
}

// rowsOf returns the rows of a page's first table, by what is in their first cell.
func rowsOf(t *testing.T, p place) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(p.page)))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), p.begin)
	table, _, _ = strings.Cut(strings.TrimSpace(table), "\n\n")
	rows := map[string][]string{}
	for i, line := range strings.Split(table, "\n") {
		if i >= 2 { // behind the head and its rule
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			rows[cells[0]] = cells[1:]
		}
	}
	return rows
}

// Each page has a row for every mutant and for nothing else, and in each somebody
// who has killed it.
func TestThePagesNameEveryMutant(t *testing.T) {
	rows := rowsOf(t, coreTable)
	if len(rows) != len(mutants) {
		t.Errorf("%s has %d rows for %d mutants: run make mutants", coreTable.page, len(rows), len(mutants))
	}
	for _, m := range mutants {
		switch cells := rows[m.name]; {
		case len(cells) < 2 || cells[0] != m.rule:
			t.Errorf("%s does not name %q: run make mutants", coreTable.page, m.name)
		case cells[1] == "-" && cells[len(cells)-1] == "-":
			t.Errorf("%q survives", m.name)
		}
	}
	rows = rowsOf(t, simulatedTable)
	if len(rows) != len(simulated()) {
		t.Errorf("%s has %d rows for %d mutants: run make mutants-sim", simulatedTable.page, len(rows), len(simulated()))
	}
	for _, m := range simulated() {
		switch cells := rows[m.name]; {
		case len(cells) < 4 || cells[0] != m.file:
			t.Errorf("%s does not name %q: run make mutants-sim", simulatedTable.page, m.name)
		case cells[3] == "0":
			t.Errorf("%q survives", m.name)
		}
	}
}

// A rule is broken, the explorer finds out, and what it tells as a script shows the
// same when it is played to the same broken core; to the whole core it does not.
func TestAFindingIsAScriptThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a broken core")
	}
	b, err := newBench(root(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	m := mutants[indexOf(t, "two votes in a term")]
	if err := b.build(m, "./raft/explore/explorer"); err != nil {
		t.Fatal(err)
	}
	out, err := b.run(b.binary, "-quiet", "-states", "100000", "-setup", "votes")
	_, script, ok := strings.Cut(out, "FOUND ")
	if err == nil || !ok {
		t.Fatalf("nothing was found: %v\n%s", err, out)
	}
	_, script, _ = strings.Cut(script, "\n")
	file := filepath.Join(b.dir, "script.txt")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err = b.run(b.binary, "-play", file)
	if err == nil || !strings.Contains(out, "V1: vote for") {
		t.Errorf("the broken core plays it to the end: %v\n%s%s", err, script, out)
	}
	out, err = b.run("go", "run", "./raft/explore/explorer", "-play", file)
	if err != nil {
		t.Errorf("the whole core does not: %v\n%s", err, out)
	}
}

func indexOf(t *testing.T, name string) int {
	t.Helper()
	for i, m := range mutants {
		if m.name == name {
			return i
		}
	}
	t.Fatalf("no mutant is called %q", name)
	return 0
}

// A host that forgets is found by the first seeds, and says by what.
func TestTheSimulatorFindsANodeThatForgets(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a broken simulator")
	}
	b, err := newBench(root(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	d, err := b.simulate(forgetful, forgetfulSeeds)
	if err != nil {
		t.Fatal(err)
	}
	if d.survives() || d.invariant == "" || d.says == "" {
		t.Errorf("%v", d)
	}
}
