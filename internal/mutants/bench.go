package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// bench is where mutants are built and run.
type bench struct {
	root    string // of the repository
	dir     string // of its own, for what it builds
	overlay string // tells the go command of the mutated file
	binary  string // what was built last, with the mutant in it
}

func newBench(root string) (*bench, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	return &bench{root, dir, filepath.Join(dir, "overlay.json"), filepath.Join(dir, "broken")}, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// findRoot is the top of the repository: the module's directory.
func findRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/quorate-db/quorate").Output()
	if err != nil {
		return "", fmt.Errorf("go list: run this inside of the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// mutated returns the file with the rule broken.
func (m mutant) mutated(root string) ([]byte, error) {
	text, err := os.ReadFile(m.path(root))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("the text to replace is %d times in %s, and not once; mend the mutant %q in internal/mutants", n, m.file, m.name)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

func (m mutant) path(root string) string {
	return filepath.Join(root, filepath.FromSlash(m.file))
}

// build makes a program with the mutant in it.
func (b *bench) build(m mutant, program string) error {
	text, err := m.mutated(b.root)
	if err != nil {
		return err
	}
	broken := filepath.Join(b.dir, "mutant.go")
	if err := os.WriteFile(broken, text, 0o644); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {m.path(b.root): broken}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.overlay, overlay, 0o644); err != nil {
		return err
	}
	out, err := b.run("go", "build", "-overlay", b.overlay, "-o", b.binary, program)
	if err != nil {
		return fmt.Errorf("the mutant does not compile: %w\n%s", err, out)
	}
	return nil
}

// run runs a command at the top of the repository.
func (b *bench) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// kill lets everybody have a look at a mutant.
func (b *bench) kill(m mutant, states int) (f fate, err error) {
	f.mutant = m
	if err := b.build(m, "./raft/explore/explorer"); err != nil {
		return f, err
	}
	if f.found, err = b.explore(states); err != nil {
		return f, err
	}
	if f.test, err = b.test("-run", "^TestScripts$", "./raft"); err != nil || !f.survives() {
		return f, err
	}
	f.test, err = b.test("-failfast", "./raft", "./raft/quorum", "./raft/progress", "./raft/membership")
	return f, err
}

// finding is what the explorer says of a mutant.
type finding struct {
	setup  string
	states string // until it was found
	steps  string // in the shortest script
	reason string
}

func (f finding) String() string {
	return fmt.Sprintf("%s, %s states, %s steps: %s", f.setup, f.states, f.steps, f.reason)
}

var found = regexp.MustCompile(`(?m)^FOUND (\S+) (\d+) (\d+) (.*)$`)

// explore runs the explorer; what it finds is in its exit code and its output.
func (b *bench) explore(states int) (finding, error) {
	out, err := b.run(b.binary, "-quiet", "-states", fmt.Sprint(states))
	if err == nil {
		return finding{}, nil
	}
	m := found.FindStringSubmatch(out)
	if m == nil {
		return finding{}, fmt.Errorf("the explorer does not say what it found: %w\n%s", err, out)
	}
	return finding{m[1], m[2], m[3], m[4]}, nil
}

var failed = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// test runs tests of the core and returns the first that fails.
func (b *bench) test(args ...string) (string, error) {
	out, err := b.run("go", append([]string{"test", "-overlay", b.overlay, "-vet=off", "-count=1"}, args...)...)
	if err == nil {
		return "", nil
	}
	all := failed.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		if strings.Contains(out, "panic: ") {
			return "a test panics", nil
		}
		return "", errors.New("the tests do not run: " + out)
	}
	first := all[0][1]
	for _, sub := range all[1:] { // a test's parts are named after it, the innermost last
		if !strings.HasPrefix(sub[1], first+"/") {
			break
		}
		first = sub[1]
	}
	return first, nil
}
