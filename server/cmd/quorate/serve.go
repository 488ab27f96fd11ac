package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/node"
)

func serveCommand() *cobra.Command {
	var stopOnEOF bool
	cmd := &cobra.Command{
		Use:     "serve",
		Version: node.Version(),
		Short:   "Run a node",
		Long: "serve runs one node until SIGINT or SIGTERM; it then hands leadership over, flushes and exits with 0.\n\n" +
			"Each flag can be said in the environment, as QUORATE_DATA_DIR (or etcd's ETCD_DATA_DIR) for --data-dir, or in the\n" +
			"file that --config-file names, in this order of precedence. Without --initial-cluster and --join it is a\n" +
			"cluster of one.",
		Example: "  quorate serve --name a --data-dir /var/lib/quorate\n" +
			"  quorate serve --name d --listen-client-urls http://10.0.0.4:2379 --listen-peer-urls http://10.0.0.4:2380 --join http://10.0.0.1:2379",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := node.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return usageError{err}
			}
			ctx, stop := untilStopped(cmd.Context())
			defer stop()
			if stopOnEOF {
				ctx = untilEOF(ctx, cmd.InOrStdin())
			}
			log, done, err := newLogger(cmd.ErrOrStderr(), cfg.Log)
			if err != nil {
				return err
			}
			defer done()
			for _, w := range cfg.Warnings {
				log.Warn(w)
			}
			return node.Run(ctx, cfg, log)
		},
	}
	node.Flags(cmd.Flags())
	// A demo that is killed cannot stop its nodes; its end of their standard
	// input closes all the same, on every operating system.
	cmd.Flags().BoolVar(&stopOnEOF, "stop-on-eof", false, "stop when standard input ends")
	_ = cmd.Flags().MarkHidden("stop-on-eof") // its only error: no such flag
	return cmd
}

// untilStopped is a context that ends with the first SIGINT or SIGTERM. The
// second one kills the process, for those who cannot wait.
func untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// untilEOF is a context that ends when the reader does.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		// However it ends, nobody is there any more.
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}
