package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/wal"
)

func walCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wal",
		Short: "Look into the log of a node that is not running, or into a copy",
		Long: "wal reads the files of a log, changes none of them, and needs no right to. DIR is a data directory, or the directory\n" +
			"of the *.wal files itself. Beside a running node it may find a batch half written.",
		RunE: group,
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "inspect DIR",
		Short: "List segments, and what the log holds of each group",
		Long: "inspect lists the segments of a log, and of each group its term, vote and commit index, the entry up to which it is\n" +
			"compacted, and the first and the last entry, as TERM/INDEX. Of a damaged log it shows what comes before the damage.",
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return inspectLog(cmd.OutOrStdout(), args[0]) },
	}, &cobra.Command{
		Use:   "verify DIR",
		Short: "Read a whole log and check every byte of it",
		Long: "verify reads a whole log and checks all that a node checks when it starts. It names the first damage, by file and offset.\n" +
			"A torn end, as a crash leaves it, is no damage. A damaged log is no reason to empty the directory: the node heals\n" +
			"from the other voters of its groups when it is started, and only that of a lone voter needs a backup.\n\n" +
			"Exit codes: 0 whole, 1 damaged or not readable, 2 wrong command line.",
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return verifyLog(cmd.OutOrStdout(), args[0]) },
	})
	return cmd
}

// readLog finds the log in a directory and reads it. A report may come with an error.
func readLog(dir string) (*wal.Report, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%q is no directory that can be read: name a data directory, or that of the *.wal files", dir)
	}
	for _, below := range []string{filepath.Join(dir, "raft", "wal"), filepath.Join(dir, "wal")} {
		if info, err := os.Stat(below); err == nil && info.IsDir() {
			dir = below
			break
		}
	}
	report, err := wal.Inspect(os.DirFS(dir))
	var damage *wal.DamageError
	var unread *fs.PathError
	switch {
	case errors.As(err, &damage):
		return report, &wal.DamageError{Path: filepath.Join(dir, damage.Path), Offset: damage.Offset, Why: damage.Why}
	case errors.As(err, &unread):
		return nil, fmt.Errorf("%s cannot be read: %w", filepath.Join(dir, unread.Path), unread.Err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return report, nil
}

func verifyLog(out io.Writer, dir string) error {
	report, err := readLog(dir)
	if err != nil {
		return err
	}
	bytes, batches := int64(0), 0
	for _, s := range report.Segments {
		bytes, batches = bytes+s.Bytes, batches+s.Batches
	}
	fmt.Fprintf(out, "the log is whole: %d segments, %d bytes, %d batches, %d groups\n", len(report.Segments), bytes, batches, len(report.Groups))
	tornNote(out, report)
	return nil
}

func tornNote(out io.Writer, report *wal.Report) {
	if report.Torn > 0 {
		fmt.Fprintf(out, "%d bytes at the end are of a batch that was never acknowledged; the next start cuts them\n", report.Torn)
	}
}

func inspectLog(out io.Writer, dir string) error {
	report, damaged := readLog(dir)
	if report == nil {
		return damaged
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row(w, "SEGMENT", "BYTES", "FILE SIZE", "BATCHES")
	for _, s := range report.Segments {
		row(w, s.Name, s.Bytes, s.Length, s.Batches)
	}
	for _, name := range report.Spares {
		row(w, name, "-", "-", "no part of the log; for a later segment")
	}
	fmt.Fprintln(w)
	row(w, "GROUP", "TERM", "VOTE", "COMMIT", "BASE", "FIRST", "LAST", "DATA BYTES")
	for _, g := range report.Groups {
		row(w, g.Group, g.State.Term, vote(g.State.Vote), g.State.Commit, entry(g.Base), entry(g.First), entry(g.Last), g.Bytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	tornNote(out, report)
	return damaged
}

// vote and entry show zero as what it means.
func vote(id raft.NodeID) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprintf("%016x", uint64(id))
}

func entry(id raft.EntryID) string {
	if id == (raft.EntryID{}) {
		return "-"
	}
	return id.String()
}
