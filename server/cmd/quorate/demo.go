package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/client"
)

func demoCommand() *cobra.Command {
	var want layout
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a cluster of several nodes on this machine, to try it",
		Long: "demo starts several \"quorate serve\" processes on this machine, each with a data directory and ports of its\n" +
			"own, and prints what to try. Ctrl-C stops them all. With --data-dir the cluster is kept: another demo on the\n" +
			"same directory continues it.",
		Example: "  quorate demo\n  quorate demo --nodes 5 --data-dir /tmp/five --base-port 4000",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			want.nodesGiven = cmd.Flags().Changed("nodes")
			if err := want.check(); err != nil {
				return err
			}
			ctx, stop := untilStopped(cmd.Context())
			defer stop()
			return runDemo(ctx, want, cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&want.nodes, "nodes", 3, "how many nodes")
	cmd.Flags().StringVar(&want.dir, "data-dir", "", "directory to keep the nodes' data in (default: a temporary one, removed at the end)")
	cmd.Flags().IntVar(&want.basePort, "base-port", 0, "clients on this port, and on every tenth after it; peers one above (default: the first that are free from 2379 on)")
	return cmd
}

// startTime is how long the nodes may take until they serve.
const startTime = 60 * time.Second

// demo is a running cluster of child processes.
type demo struct {
	out      io.Writer
	exe      string // this program
	dir      string
	children []*child
	exits    chan *child // each child once, when it has ended
}

// runDemo starts the cluster, tells about it until ctx ends, and stops it.
func runDemo(ctx context.Context, want layout, out io.Writer) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the path of this program is not known, so that no node can be started: %w", err)
	}
	dir, temporary := want.dir, want.dir == ""
	if temporary {
		if dir, err = os.MkdirTemp("", "quorate-demo-"); err != nil {
			return fmt.Errorf("no temporary directory could be made (%w); name one with --data-dir", err)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	plan, err := makePlan(dir, want)
	if err != nil {
		return err
	}
	d := &demo{out: out, exe: exe, dir: dir, exits: make(chan *child, len(plan.Nodes))}
	err = d.runNodes(ctx, plan)
	// A temporary directory stays where somebody may still want its logs.
	if temporary && err == nil && !d.crashed() {
		return os.RemoveAll(dir)
	}
	if temporary {
		fmt.Fprintf(out, "data and logs are kept in %s\n", dir)
	}
	return err
}

func (d *demo) runNodes(ctx context.Context, plan *plan) error {
	began := time.Now()
	fmt.Fprintf(d.out, "starting %d nodes in %s ...\n", len(plan.Nodes), d.dir)
	defer d.stop()
	for _, n := range plan.Nodes {
		c, err := d.start(n, plan)
		if err != nil {
			return err
		}
		d.children = append(d.children, c)
	}
	fmt.Fprintln(d.out, "waiting for a leader ...")
	if err := d.awaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while starting is no failure
		}
		return err
	}
	d.describe(ctx, time.Since(began))
	return d.watch(ctx)
}

// awaitReady returns when every node serves, or one has ended.
func (d *demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- allReady(ctx, d.children) }()
	select {
	case err := <-ready:
		return err
	case c := <-d.exits:
		return fmt.Errorf("%s did not start: %s (all it said is in %s)", c.Name, c.lastWords(), c.logPath)
	}
}

// describe prints the nodes, and lines to copy.
func (d *demo) describe(ctx context.Context, took time.Duration) {
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	row(w, "NAME", "PID", "CLIENT URL", "PEER URL", "DATA DIR")
	for _, c := range d.children {
		row(w, c.Name, c.pid(), c.ClientURL, c.PeerURL, c.dataDir)
	}
	_ = w.Flush() // as with every line to a terminal that may be gone
	first, last := d.children[0], d.children[len(d.children)-1]
	leader := d.leader(ctx)
	program := d.program()
	var all []string
	for _, c := range d.children {
		all = append(all, c.ClientURL)
	}
	fmt.Fprintf(d.out, "\nready after %v; the leader is %s. Try it from another terminal; any node answers:\n\n", took.Round(time.Millisecond), leader.Name)
	for _, line := range []string{
		fmt.Sprintf("%s put hello world --endpoints %s", program, first.ClientURL),
		fmt.Sprintf("%s get hello --endpoints %s", program, last.ClientURL),
		fmt.Sprintf("curl -X PUT --data-binary 'from curl' %s/v1/kv/hello", first.ClientURL),
		fmt.Sprintf("curl %s/v1/kv/hello", last.ClientURL),
		fmt.Sprintf("%s status --endpoints %s", program, strings.Join(all, ",")),
		fmt.Sprintf("kill -9 %d    # the leader; the others go on", leader.pid()),
		fmt.Sprintf("sh %s    # start it again; each node has such a file", shellQuote(leader.commandPath)),
	} {
		fmt.Fprintf(d.out, "  %s\n", line)
	}
	fmt.Fprintf(d.out, "\nEach node writes its log to %s. Ctrl-C stops them all.\n", filepath.Join(d.dir, "NAME", "log"))
}

// leader is the node that leads, or the first one should nobody know right now.
func (d *demo) leader(ctx context.Context) *child {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, c := range d.children {
		asked, err := client.New(client.Config{Endpoints: []string{c.ClientURL}, FailFast: true})
		if err != nil {
			continue
		}
		if s, err := asked.Status(ctx, false); err == nil && s.Leader != 0 && s.Leader == s.ID {
			return c
		}
	}
	return d.children[0]
}

// program is how a shell in this directory calls this program.
func (d *demo) program() string {
	called := os.Args[0]
	if !strings.ContainsRune(called, filepath.Separator) {
		return shellQuote(called) // found on the PATH, as it will be again
	}
	return shellQuote(d.exe)
}

// watch tells of nodes that end until ctx does.
func (d *demo) watch(ctx context.Context) error {
	for running := len(d.children); running > 0; running-- {
		select {
		case <-ctx.Done():
			return nil
		case c := <-d.exits:
			// Ctrl-C at a terminal reaches the nodes too; that is no news.
			if ctx.Err() != nil {
				return nil
			}
			fmt.Fprintf(d.out, "%s (pid %d) has ended: %s. Start it again with: sh %s\n",
				c.Name, c.pid(), c.lastWords(), shellQuote(c.commandPath))
		}
	}
	return errors.New("all nodes have ended; run the demo again")
}

// crashed reports whether a node ended otherwise than by our wish.
func (d *demo) crashed() bool {
	for _, c := range d.children {
		if c.err != nil {
			return true
		}
	}
	return false
}
