package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// running are the demos of the scripts that run now, each script's latest.
var running sync.Map // of *testscript.TestScript to *exec.Cmd

// startDemo runs "demo DIR ARGS...": a demo in the background that keeps its
// data in DIR. It returns when the demo says that it is ready, and names the
// nodes' URLs in $N1, $N2 ... and all of them in $QUORATE_ENDPOINTS.
func startDemo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: demo DIR ARGS...")
	}
	dir := ts.MkAbs(args[0])
	program, err := exec.LookPath("quorate")
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"demo", "--data-dir", dir}, args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	running.Store(ts, cmd)
	ts.Defer(func() { _ = cmd.Process.Kill() }) // its nodes end with it
	said, ready := bufio.NewScanner(out), false
	for !ready && said.Scan() {
		ts.Logf("demo: %s", said.Text())
		ready = strings.Contains(said.Text(), "Ctrl-C stops them all")
	}
	if !ready {
		ts.Fatalf("the demo ended before it was ready: %v", cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // or it would block on a full pipe
	var urls []string
	for _, s := range readPlan(ts, dir).Nodes {
		ts.Setenv(strings.ToUpper(s.Name), s.ClientURL)
		urls = append(urls, s.ClientURL)
	}
	ts.Setenv("QUORATE_ENDPOINTS", strings.Join(urls, ","))
}

func readPlan(ts *testscript.TestScript, dir string) *plan {
	data, err := os.ReadFile(dir + "/demo.json")
	ts.Check(err)
	var p plan
	ts.Check(json.Unmarshal(data, &p))
	return &p
}

// endDemo runs "enddemo interrupt|kill DIR": Ctrl-C, after which it must exit with
// 0, or kill -9. Either way all nodes must end.
func endDemo(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := running.LoadAndDelete(ts)
	if neg || len(args) != 2 || !ok {
		ts.Fatalf("usage, after demo: enddemo interrupt|kill DIR")
	}
	cmd := found.(*exec.Cmd)
	if args[0] == "kill" {
		ts.Check(cmd.Process.Kill())
		_ = cmd.Wait() // "killed", as told
	} else {
		ts.Check(cmd.Process.Signal(os.Interrupt))
		ts.Check(cmd.Wait())
	}
	p := readPlan(ts, ts.MkAbs(args[1]))
	for deadline := time.Now().Add(stopTime); ; time.Sleep(poll) {
		taken, err := p.occupied()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("a node outlives its demo: %s", taken)
		}
	}
}
