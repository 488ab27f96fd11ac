//go:build unix

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	// The program that is built consists of this and of its command line. Without
	// the import, the go command would take an old result of these tests for the
	// result of a program that has changed since.
	_ "github.com/quorate-db/quorate/server/node"
)

// source is the directory of the program.
const source = "../cmd/quorate"

// binary is the path of the program that is tested.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program, runs the tests, and tells how far the goals are met.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "quorate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "quorate")
	build := exec.Command("go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
		return 1
	}
	if err := lookAtSource(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if everything := flag.Lookup("test.run").Value.String() == "" && !testing.Short(); everything {
		goals.unmeasured()
	}
	goals.print(os.Stdout)
	return code
}

// lookAtSource does for the command line what the import above does for the rest:
// the go command notes which files a test has looked at.
func lookAtSource() error {
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	return err
}

// long skips a test that takes more than a few seconds where time is short.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long")
	}
}
