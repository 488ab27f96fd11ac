package main

import (
	"os"
	"path/filepath"
	"regexp"
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

// Every mutant fits the core as it is now, and breaks a rule or an invariant that
// the core claims to keep.
func TestEveryMutantFitsTheCore(t *testing.T) {
	if len(mutants) < 25 {
		t.Errorf("%d mutants", len(mutants))
	}
	dir, seen := root(t), map[string]bool{}
	for _, m := range mutants {
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
	}
	rules, err := os.ReadFile(filepath.Join(dir, "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	invariant := regexp.MustCompile(`^V[0-9]+$`)
	for _, m := range mutants {
		if !invariant.MatchString(m.rule) && !strings.Contains(string(rules), "</a>"+m.rule+" |") {
			t.Errorf("%s: breaks %s, which docs/rules.md does not have", m.name, m.rule)
		}
	}
}

// The page has a row for every mutant and for nothing else, and in each somebody
// who has killed it.
func TestThePageNamesEveryMutant(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), begin)
	rows, _, _ := strings.Cut(rest, end)
	if n := strings.Count(rows, "\n| ") - 1; n != len(mutants) {
		t.Errorf("%s has %d rows for %d mutants: run make mutants", page, n, len(mutants))
	}
	for _, m := range mutants {
		_, row, ok := strings.Cut(rows, "\n| "+m.name+" | "+m.rule+" |")
		if !ok {
			t.Errorf("%s does not name %q: run make mutants", page, m.name)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, " | ")
		if setup, test := strings.TrimSpace(cells[0]), strings.Trim(cells[len(cells)-1], " |"); setup == "-" && test == "-" {
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
	if err := b.build(m); err != nil {
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
