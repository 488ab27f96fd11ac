// Command quorate is the server, its command-line client, and a cluster to try.
//
// Exit codes, for scripts:
//
//	0  done
//	1  failed
//	2  the command line or the configuration is wrong
//	3  the key or the member does not exist
//	4  the key is not at the expected revision
//	5  no leader, or no endpoint answered: certainly not done, try again
//	6  the outcome is unknown: it may or may not have been done; verify: no verdict
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/node"
	"github.com/quorate-db/quorate/transport/certs"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run carries out one command line and returns its exit code. Whatever went
// wrong is told in one line.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	called, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	fmt.Fprintf(errOut, "quorate: %s\n", message(called, err, code))
	return code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "quorate",
		Version: node.Version(),
		Short:   "A replicated, durable, linearizable key-value store",
		Long: "quorate is a replicated, durable, linearizable key-value store.\n\n" +
			"Try it with \"quorate demo\": three nodes on this machine.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 not found,\n" +
			"4 precondition failed, 5 no leader or no answer, 6 outcome unknown.",
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          group,
	}
	root.SetVersionTemplate("{{.Version}}\n") // as quorate version
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), demoCommand(), versionCommand(), statusCommand(), memberCommand(), leaderCommand(), verifyCommand(), simCommand(), walCommand(), snapshotCommand(), replayCommand())
	root.AddCommand(kvCommands()...)
	return root
}

// group runs a command that only has commands below it.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(", did you mean %q", near[0])
	}
	return usagef("unknown command %q%s", args[0], hint)
}

const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitPrecondition = 4
	exitUnavailable  = 5
	exitUnknown      = 6
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exactly is how many arguments a command takes, named as its usage line does.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s takes %s, but got %d", cmd.CommandPath(), arguments(names), len(args))
		}
		return nil
	}
}

func arguments(names []string) string {
	if len(names) == 0 {
		return "no argument"
	}
	return strings.Join(names, " and ")
}

// optional is the rule of a command that takes at most one argument.
func optional(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes at most one %s, but got %d", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}

func exitCode(err error) int {
	var usage usageError
	var verdict verdictError
	switch {
	case errors.As(err, &verdict):
		return verdict.code
	case errors.As(err, &usage):
		return exitUsage
	// Before all others: a write in doubt is never called anything else.
	case errors.Is(err, client.ErrUnknownOutcome):
		return exitUnknown
	case errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrMemberUnknown):
		return exitNotFound
	case errors.Is(err, client.ErrPreconditionFailed):
		return exitPrecondition
	case errors.Is(err, client.ErrNoLeader), errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrBusy), errors.Is(err, client.ErrDiskFull):
		return exitUnavailable
	default:
		return exitFailed
	}
}

// message is the error in one line that ends with what to do, where the error
// itself does not say so.
func message(called *cobra.Command, err error, code int) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "quorate: ") // run says it
	var answered *client.Error
	var handshake *certs.Error
	switch {
	case code == exitUsage:
		return fmt.Sprintf("%s (see %s --help)", text, called.CommandPath())
	case errors.As(err, &answered), errors.As(err, &handshake), errors.As(err, new(verdictError)), called.Flags().Lookup("endpoints") == nil:
		return text // which says what to do
	case code == exitUnavailable:
		return text + "; check that a node runs there and that this is its client URL, not its peer URL, or name another with --endpoints"
	case code == exitUnknown:
		return text + "; read it back before you send it again"
	}
	return text
}
