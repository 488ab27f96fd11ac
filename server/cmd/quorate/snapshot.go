package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/backup"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/node"
)

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save a running cluster's keys, and begin a new cluster with them",
		RunE:  group,
		Args:  cobra.ArbitraryArgs,
	}
	cmd.AddCommand(saveCommand(), snapshotStatusCommand(), restoreCommand())
	return cmd
}

func saveCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save one node's store, with its history, while it runs",
		Long: "save writes the store of the first endpoint that answers, as of one moment, to a file that must not exist. Follow it with\n" +
			"\"quorate snapshot status FILE\"; give it as much --timeout as the store needs.",
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd, func(ctx context.Context, c *client.Client) error { return save(ctx, c, args[0]) })
		},
	}
	r.flags(cmd)
	return cmd
}

// save fills a file beside the one named, which appears only when it is whole.
func save(ctx context.Context, c *client.Client, path string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return usagef("%s exists: name another file", path)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	err = c.Snapshot(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	whole, err := backup.Open(part)
	if err != nil {
		return err
	}
	return errors.Join(whole.Close(), os.Rename(part, path))
}

func snapshotStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status FILE",
		Short: "Read a whole snapshot and say what is in it",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := backup.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			machine, err := kv.New(store.NewMemory())
			if err != nil {
				return err
			}
			if err := machine.Restore(file); err != nil {
				return err
			}
			page, err := machine.Range(kv.Query{Start: []byte{0}, End: kv.NoEnd, CountOnly: true})
			if err != nil {
				return err
			}
			state, err := machine.State()
			if err != nil {
				return err
			}
			return snapshotLine(cmd.OutOrStdout(), file, state, page.Count)
		},
	}
}

func snapshotLine(out io.Writer, file *backup.File, state kv.State, keys int64) error {
	_, err := fmt.Fprintf(out, "the snapshot is whole: %d keys, revision %d, compacted at %d, %d leases, %d bytes, SHA-256 %x\n",
		keys, state.Revision, state.Compacted, state.Leases, file.Size(), file.Sum)
	return err
}

func restoreCommand() *cobra.Command {
	var bump int64
	var compacted bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the data directory of a member of a new cluster from a snapshot",
		Long: "restore takes the flags of serve. Run it once for each first member of the new cluster, with the same file and the same\n" +
			"--initial-cluster, then start all of them with serve and the same flags. It is another cluster than the one that was saved. Clients that\n" +
			"remember revisions, as Kubernetes' do, need --bump-revision and --mark-compacted, as of etcdutl.",
		Example: "  quorate snapshot restore backup.snap --name a --data-dir /var/lib/quorate --initial-cluster a=http://10.0.0.1:2380 --listen-peer-urls http://10.0.0.1:2380",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := node.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return usageError{err}
			}
			if cfg.Bootstrap.Join != "" || cfg.Bootstrap.State == node.StateExisting {
				return usagef("a member that joins a cluster gets its data from there: restore makes the first members of a new one")
			}
			switch {
			case bump < 0:
				return usagef("--bump-revision %d: revisions only rise", bump)
			case bump > 0 && !compacted:
				return usagef("--bump-revision %d needs --mark-compacted: watchers who missed something are to be told so", bump)
			case bump == 0 && compacted:
				return usagef("--mark-compacted is for --bump-revision, say both or neither")
			}
			return node.Restore(&cfg, args[0], bump)
		},
	}
	node.Flags(cmd.Flags())
	cmd.Flags().Int64Var(&bump, "bump-revision", 0, "how much later than in the file the first revision of the new cluster is, the same for all members: more than was written since")
	cmd.Flags().BoolVar(&compacted, "mark-compacted", false, "with it, and only then: have all watchers of revisions before that begin anew")
	return cmd
}
