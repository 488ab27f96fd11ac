package examples_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// greeter is a running node of the example three.
type greeter struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func greet(t *testing.T, program, dir string, node, port int) *greeter {
	t.Helper()
	args := []string{fmt.Sprint(node)}
	for i := 1; i <= 3; i++ {
		args = append(args, fmt.Sprintf("127.0.0.1:%d", port+i))
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &greeter{cmd, bufio.NewScanner(out)}
	t.Cleanup(g.kill)
	return g
}

// kill ends the process as kill -9 does.
func (g *greeter) kill() {
	_ = g.cmd.Process.Kill() // it may have ended already
	_ = g.cmd.Wait()         // the error says that it was killed
}

// number reads the node's next greeting and returns how many there have been.
func (g *greeter) number(t *testing.T, node int) (n int) {
	t.Helper()
	if !g.out.Scan() {
		t.Fatalf("node %d has ended: %v", node, g.out.Err())
	}
	if _, err := fmt.Sscanf(g.out.Text(), fmt.Sprintf("hello from %d, no. %%d <nil>", node), &n); err != nil {
		t.Fatalf("node %d says %q", node, g.out.Text())
	}
	return n
}

// TestThree starts the three nodes twice: the second time they go on counting
// where they were killed. Meanwhile two of them go on without the third.
func TestThree(t *testing.T) {
	program, dir, port := build(t, "three"), t.TempDir(), freePorts(t, 3)
	last := 0
	for range 2 {
		var nodes []*greeter
		for node := 1; node <= 3; node++ {
			nodes = append(nodes, greet(t, program, dir, node, port))
		}
		before := last
		for i, g := range nodes {
			n := g.number(t, i+1)
			if n <= before {
				t.Errorf("node %d is at no. %d; %d were counted before", i+1, n, before)
			}
			last = max(last, n)
		}
		nodes[0].kill()
		for i, g := range nodes[1:] {
			last = max(last, g.number(t, i+2))
		}
		nodes[1].kill()
		nodes[2].kill()
	}
}

// TestThreeIsShort counts the lines of the program as a reader would: without what is in
// front of it, its imports, and empty lines.
func TestThreeIsShort(t *testing.T) {
	source, err := os.ReadFile("three/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(source), "\n)\n")
	lines := 0
	for line := range strings.Lines(program) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if !found || lines > 30 {
		t.Errorf("it has %d lines, at most 30 are wanted", lines)
	}
}
