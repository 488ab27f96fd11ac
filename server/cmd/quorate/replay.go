package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/sim"
)

func replayCommand() *cobra.Command {
	var inputs, quiet bool
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Play a flight recording again, and compare every effect",
		Long: "replay gives the core of a group once more what a node recorded: GET /v1/flight of a running node, or a file in the\n" +
			"directory raft/flight of one on which an invariant broke. It prints which rules were followed when, and says whether\n" +
			"all effects were as they were then, or names the first that was not. FILE may be - for what comes in.\n\n" +
			"A recording says nothing of what commands say, only how long they were.\n\n" +
			"Exit codes: 0 all as it was, 1 something else happened or the file cannot be read, 2 wrong command line.",
		Example: "  curl -s http://127.0.0.1:2379/v1/flight | quorate replay -\n  quorate replay --inputs a.quorate/raft/flight/20260102T150405.000000-group-1.flight",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := readRecording(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			return replay(cmd.OutOrStdout(), d, inputs, quiet)
		},
	}
	cmd.Flags().BoolVar(&inputs, "inputs", false, "show every input, too")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "show no transcript, only what it comes to")
	return cmd
}

func readRecording(in io.Reader, name string) (*flight.Dump, error) {
	var file []byte
	var err error
	if name == "-" {
		file, err = io.ReadAll(in)
	} else {
		file, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	d, err := flight.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// replay plays a recording and tells what came of it.
func replay(out io.Writer, d *flight.Dump, inputs, quiet bool) error {
	why := "it was asked for"
	if d.Why != "" {
		why = d.Why
	}
	fmt.Fprintf(out, "recorded    node %016x, group %d, until %s\n", uint64(d.Node), d.Group, time.UnixMicro(int64(d.At)).UTC().Format("2006-01-02 15:04:05.000000 UTC"))
	fmt.Fprintf(out, "because     %s\n", why)
	story := &replayed{node: d.Node, group: d.Group, inputs: inputs}
	if !quiet {
		story.text = sim.NewText(out)
		story.text.Messages = inputs
		story.text.Name = func(id raft.NodeID) string { return fmt.Sprintf("%x", uint64(id)) }
	}
	o, err := d.Play(story)
	if !quiet {
		if err := story.text.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "played      %d inputs of %v, %d rules followed\n", o.Inputs, time.Duration(o.Ended-o.Begun)*time.Microsecond, story.rules)
	switch {
	case errors.Is(err, flight.ErrDeparted):
		fmt.Fprintf(out, "DEPARTED    %v\n", err)
		return verdictError{exitFailed, err.Error()}
	case err != nil:
		return err
	case o.Broke != nil:
		fmt.Fprintln(out, "equal       every effect is as it was, and the last input breaks the same invariant")
	default:
		fmt.Fprintln(out, "equal       every effect is as it was, and so is the state in the end")
	}
	return nil
}

// replayed writes down what a core does once more.
type replayed struct {
	node   raft.NodeID
	group  raft.GroupID
	inputs bool
	text   *sim.Text // nil: nothing is written
	began  uint64    // microseconds since 1970
	rules  int
}

func (r *replayed) since(at uint64) time.Duration {
	return time.Duration(at-r.began) * time.Microsecond
}

// Begins implements [flight.Watcher].
func (r *replayed) Begins(at uint64, core *raft.Raft) {
	if r.began != 0 {
		return // a later tape goes on where the last one ended
	}
	r.began = at
	if s := core.Status(); r.text != nil {
		r.text.Note(0, r.node, fmt.Sprintf("%v of term %d, leader %x, commit %d, applied %d, log from %v up to %v, %d members",
			s.Role, s.Term, uint64(s.Leader), s.Commit, s.Applied, s.Base, s.Last, len(s.Config.Members)))
	}
}

// Given implements [flight.Watcher].
func (r *replayed) Given(at uint64, core *raft.Raft, in *raft.Input, rules []raft.Event) {
	r.rules += len(rules)
	if r.text == nil {
		return
	}
	switch {
	case !r.inputs:
	case in.Message != nil:
		r.text.Message(r.since(at), &codec.Envelope{Group: r.group, Message: *in.Message}, true)
	default:
		r.text.Note(r.since(at), r.node, in.String())
	}
	config, index := core.Members()
	for i := range rules {
		r.text.Event(r.since(at), r.group, &rules[i], &config, index)
	}
}
