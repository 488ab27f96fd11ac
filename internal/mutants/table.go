package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// page is where the table stands, between two comments.
const (
	page  = "docs/explorer.md"
	begin = "<!-- mutants: written by make mutants -->\n"
	end   = "<!-- end of mutants -->\n"
)

// writeTable puts the table into the page.
func writeTable(root string, fates []fate) error {
	name := filepath.Join(root, filepath.FromSlash(page))
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return errors.New(page + " has no place for the table")
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(begin + "\n" + table(fates) + "\n" + end)
	b.Write(after)
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// table is one row for each mutant.
func table(fates []fate) string {
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
