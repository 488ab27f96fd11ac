// Command rulespage writes docs/rules.md: the rules of Raft, with links to the
// lines and scripts that name them. It also renews the pages that lead through
// the code: their line numbers, and the layouts that they show.
//
//	go run ./internal/archtest/rulespage DIR    (the top of the repository)
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/quorate-db/quorate/internal/archtest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "rulespage: name the top of the repository, and nothing else")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "rulespage: %v\n", err)
		os.Exit(1)
	}
}

func write(root string) error {
	index, err := archtest.ReadIndex(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(archtest.Page)), index.Markdown(), 0o644); err != nil {
		return err
	}
	_, err = archtest.Renew(root, true)
	return err
}
