package raft_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate-db/quorate/internal/archtest"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// TestScripts plays testdata/<chapter>/<behaviour>.txt: one behaviour per file,
// the name is the claim, the comment the reason, the transcript the proof. A
// block of commands is followed by what it makes happen; package rafttest says
// what commands there are. After a change that is meant: go test ./raft -run
// Scripts -rewrite, and read the difference as you would read code.
//
// A rule that a script's comments name must be followed in it, as the trace has
// it, and every rule of the core in some script that names it.
func TestScripts(t *testing.T) {
	scripts, shown := 0, map[string]bool{}
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && filepath.Ext(path) == ".txt" {
			scripts++
			t.Run(strings.TrimSuffix(path[len("testdata/"):], ".txt"), func(t *testing.T) {
				followed := playScript(t, path)
				for _, id := range named(t, path) {
					shown[id] = true
					if !followed(raft.Rule(id)) {
						t.Errorf("%s names %s, but no node follows it there", path, id)
					}
				}
			})
		}
		return nil
	})
	if err != nil || scripts == 0 {
		t.Fatalf("%d scripts: %v", scripts, err)
	}
	if flag.Lookup("test.run").Value.String() == "" { // all were played
		for _, id := range archtest.CoreRules() {
			if !shown[id] {
				t.Errorf("no script shows %s", id)
			}
		}
	}
}

// named returns the rules that the comments of a script name.
func named(t *testing.T, path string) (ids []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			ids = append(ids, archtest.Tags(line)...)
		}
	}
	return ids
}

// playScript returns by which rules the nodes went.
func playScript(t *testing.T, path string) (followed func(raft.Rule) bool) {
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
	return s.Followed
}
