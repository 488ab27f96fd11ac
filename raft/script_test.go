package raft_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate-db/quorate/raft/rafttest"
)

// TestScripts plays testdata/<chapter>/<behaviour>.txt: one behaviour per file,
// the name is the claim, the comment the reason, the transcript the proof. A
// block of commands is followed by what it makes happen; package rafttest says
// what commands there are. After a change that is meant: go test ./raft -run
// Scripts -rewrite, and read the difference as you would read code.
func TestScripts(t *testing.T) {
	scripts := 0
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && filepath.Ext(path) == ".txt" {
			scripts++
			t.Run(strings.TrimSuffix(path[len("testdata/"):], ".txt"), func(t *testing.T) { playScript(t, path) })
		}
		return nil
	})
	if err != nil || scripts == 0 {
		t.Fatalf("%d scripts: %v", scripts, err)
	}
}

func playScript(t *testing.T, path string) {
	var s rafttest.Script
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		first := d.Cmd
		for _, arg := range d.CmdArgs {
			first += " " + arg.String()
		}
		var transcript strings.Builder
		for line := range strings.Lines(first + "\n" + d.Input) {
			said, err := s.Do(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if said != "" {
				fmt.Fprintln(&transcript, said)
			}
		}
		return transcript.String()
	})
}
