//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

// demo is a running "quorate demo".
type demo struct {
	process *process
	output  string // path
	seats   []seat
}

// seat is a line of the table that a demo prints.
type seat struct {
	name            string
	pid             int
	client, peer    string // URLs
	directory       string
	directoryExists bool
}

var seatLine = regexp.MustCompile(`(?m)^(n\d+) +(\d+) +(http://\S+) +(http://\S+) +(/\S+)$`)

// startDemo returns when the demo says that it is ready.
func startDemo(t *testing.T, flags ...string) *demo {
	t.Helper()
	d := &demo{output: filepath.Join(t.TempDir(), "output")}
	d.process = launch(t, d.output, append([]string{binary, "demo"}, flags...)...)
	var said []byte
	eventually(t, "the demo is ready", func() (err error) {
		if said, err = os.ReadFile(d.output); err == nil && !bytes.Contains(said, []byte("Ctrl-C stops them all")) {
			err = fmt.Errorf("it said %q", said)
		}
		return err
	})
	for _, m := range seatLine.FindAllStringSubmatch(string(said), -1) {
		pid, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(m[5])
		d.seats = append(d.seats, seat{m[1], pid, m[3], m[4], m[5], err == nil})
	}
	t.Cleanup(d.clean)
	return d
}

// clean kills the nodes that outlived the demo, which a test has then reported.
// They belong to the demo, so that only their table tells who they are.
func (d *demo) clean() {
	d.process.kill()
	for _, s := range d.seats {
		if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.pid)); err != nil || !bytes.Contains(cmdline, []byte(s.directory)) {
			continue // it is gone, or its number is another's by now
		}
		_ = syscall.Kill(s.pid, syscall.SIGKILL) // fails only if it has ended
	}
}

// gone waits until no node of the demo is left.
func (d *demo) gone(t *testing.T) {
	t.Helper()
	for _, s := range d.seats {
		eventually(t, s.name+" is gone", func() error {
			if alive(s.pid) {
				return fmt.Errorf("process %d lives", s.pid)
			}
			for _, url := range []string{s.client, s.peer} {
				l, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					return err
				}
				_ = l.Close() // nobody ever connected
			}
			return nil
		})
	}
}

// alive reports whether a process runs. One that has ended, and waits for a
// parent who asks how, does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // a system without such files
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}

func TestTheDemoShowsItsNodesAndStopsThemWithCtrlC(t *testing.T) {
	d := startDemo(t, "--base-port", basePort(t))
	if len(d.seats) != 3 {
		t.Fatalf("the table of the demo has %d nodes: %+v", len(d.seats), d.seats)
	}
	for _, s := range d.seats {
		if !alive(s.pid) || !s.directoryExists {
			t.Errorf("the table shows what is not there: %+v", s)
		}
	}
	succeed(t, "put", "hello", "world", "--endpoints", d.seats[0].client)
	if got := succeed(t, "get", "hello", "--endpoints", d.seats[2].client); got != "world" {
		t.Errorf("hello is %q", got)
	}
	if code := d.process.signal(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	d.gone(t)
	if _, err := os.Stat(d.seats[0].directory); err == nil {
		t.Errorf("%s is left over", d.seats[0].directory)
	}
}

// The demo cannot stop its nodes when it is killed; they must notice.
func TestNoNodeOutlivesADemoThatIsKilled(t *testing.T) {
	d := startDemo(t, "--base-port", basePort(t), "--data-dir", filepath.Join(t.TempDir(), "demo"))
	if len(d.seats) != 3 {
		t.Fatalf("the table of the demo has %d nodes: %+v", len(d.seats), d.seats)
	}
	d.process.kill()
	d.gone(t)
}

// From the command line to the first acknowledged write, three nodes.
func TestADemoTakesItsFirstWriteSoon(t *testing.T) {
	var took []time.Duration
	for range 5 {
		port := basePort(t)
		begin := time.Now()
		p := launch(t, filepath.Join(t.TempDir(), "output"), binary, "demo", "--base-port", port)
		c, err := client.New(client.Config{Endpoints: []string{"http://127.0.0.1:" + port}, FailFast: true})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the first write", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := c.Put(ctx, []byte("first"), []byte("write"))
			return err
		})
		took = append(took, time.Since(begin))
		c.Close()
		if code := p.signal(t, syscall.SIGINT); code != 0 {
			t.Errorf("exit code %d after Ctrl-C", code)
		}
	}
	t.Logf("from start to the first write: %v", took)
	goals.report(t, "start_to_first_put_ms", float64(median(took).Milliseconds()))
}

// basePort returns the first of a demo's ports; all of them are free.
func basePort(t *testing.T) string {
	t.Helper()
	const span = 22 // of three nodes, ten apart
	for {
		first, last := freePort(t), 0
		for range span {
			last = freePort(t)
		}
		// A port that was not free, or the end of the range, leaves a hole.
		if last == first+span {
			return strconv.Itoa(first)
		}
	}
}
