// Package examples_test runs the examples as their readers would: as programs.
package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// build compiles an example and returns its path.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, out)
	}
	return path
}

// freePorts returns a port that is followed by n free ones.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for port := 17000; port < 30000; port += 10 {
		if allFree(port, n) {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func allFree(port, n int) bool {
	for i := 1; i <= n; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// TestHello runs it twice: the second run goes on where the first one ended,
// though that one stopped nothing properly.
func TestHello(t *testing.T) {
	program, dir := build(t, "hello"), t.TempDir()
	for _, want := range []string{"hello no. 1 <nil>\n", "hello no. 2 <nil>\n"} {
		cmd := exec.Command(program)
		cmd.Dir = dir
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil || string(out) != want {
			t.Fatalf("it said %q and ended with %v, want %q", out, err, want)
		}
	}
}

// teller is a running bank node.
type teller struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func open(t *testing.T, program, dir string, node, port int) *teller {
	t.Helper()
	cmd := exec.Command(program, "-node", fmt.Sprint(node), "-port", fmt.Sprint(port))
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	teller := &teller{cmd, in, bufio.NewScanner(out)}
	t.Cleanup(teller.kill)
	return teller
}

// kill ends the process as kill -9 does.
func (b *teller) kill() {
	_ = b.cmd.Process.Kill() // it may have ended already
	_ = b.cmd.Wait()         // the error says that it was killed
}

func (b *teller) says(t *testing.T, command, want string) {
	t.Helper()
	if _, err := fmt.Fprintln(b.in, command); err != nil {
		t.Fatal(err)
	}
	if !b.out.Scan() {
		t.Fatalf("the node has ended: %v", b.out.Err())
	}
	if got := b.out.Text(); got != want {
		t.Fatalf("%s: it said %q, want %q", command, got, want)
	}
}

// TestBank is the story of the accounts: paid in at one node, drawn at another,
// and an overdraft refused at the third; a node dies, the others go on; it comes
// back and knows what it missed.
func TestBank(t *testing.T) {
	program, dir, port := build(t, "bank"), t.TempDir(), freePorts(t, 3)
	var nodes []*teller
	for node := 1; node <= 3; node++ {
		nodes = append(nodes, open(t, program, dir, node, port))
	}
	nodes[0].says(t, "ann 100", "ann has 100")
	nodes[1].says(t, "ann -30", "ann has 70")
	nodes[2].says(t, "ann -80", "refused: ann has 70")
	for i := range nodes {
		nodes[i].kill()
		other := nodes[(i+1)%3]
		other.says(t, fmt.Sprintf("node%d 1", i+1), fmt.Sprintf("node%d has 1", i+1))
		nodes[i] = open(t, program, dir, i+1, port)
		nodes[i].says(t, fmt.Sprintf("node%d 1", i+1), fmt.Sprintf("node%d has 2", i+1))
	}
	nodes[0].says(t, "ann -70", "ann has 0")
}

// TestExamplesAreShort holds them to the lengths that pages promise: lines that are
// neither blank nor comment, and for three those behind its imports.
func TestExamplesAreShort(t *testing.T) {
	for name, most := range map[string]int{"hello": 40, "bank": 60, "three": 30} { //order: each is measured for itself
		text, err := os.ReadFile(filepath.Join(name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		program := string(text)
		if name == "three" {
			_, program, _ = strings.Cut(program, "\n)\n")
		}
		lines := 0
		for line := range strings.Lines(program) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
		if lines > most || lines == 0 {
			t.Errorf("%s has %d lines, at most %d were promised", name, lines, most)
		}
	}
}
