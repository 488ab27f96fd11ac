package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// writeRecording runs "recording FILE [WHY]": a node elects itself, takes a command and
// is recorded all the while; then, or so the file says, an invariant breaks.
func writeRecording(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: recording FILE [WHY]")
	}
	saved, err := raft.Bootstrap(membership.New(membership.Member{ID: 0xa1, Role: membership.Voter}))
	ts.Check(err)
	core, err := raft.New(raft.Config{ID: 0xa1}, saved)
	ts.Check(err)
	r := flight.New(60_000_000, 1<<20)
	r.Clock(1_767_323_045_000_000)
	for step := range 6 {
		fx := core.Take()
		r.Tend(4, core)
		r.Clock(1_767_323_045_000_000 + uint64(step+1)*250_000)
		core.Persisted(fx.WriteID)
		switch step {
		case 0:
			core.Campaign()
		case 3:
			_, err := core.Propose([]byte("hello"))
			ts.Check(err)
		}
	}
	d, known := r.Dump(4, strings.Join(args[1:], " "))
	if !known {
		ts.Fatalf("nothing was recorded")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), d.Append(nil), 0o600))
}
