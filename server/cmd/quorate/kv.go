package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

func kvCommands() []*cobra.Command {
	return []*cobra.Command{putCommand(), getCommand(), delCommand(), rangeCommand()}
}

// conditions are the flags that make a write conditional.
type conditions struct {
	revision uint64
	absent   bool
}

func (c *conditions) list(cmd *cobra.Command) ([]client.Condition, error) {
	var all []client.Condition
	if cmd.Flags().Changed("if-revision") {
		if c.absent {
			return nil, usagef("--if-revision and --if-absent contradict each other")
		}
		all = append(all, client.IfRevision(c.revision))
	}
	if c.absent {
		all = append(all, client.IfAbsent())
	}
	return all, nil
}

// explain puts what became of a conditional write in the words of the flags.
func (c *conditions) explain(key string, err error) error {
	switch {
	case !errors.Is(err, client.ErrPreconditionFailed):
		return err
	case c.absent:
		return unmet(fmt.Sprintf("--if-absent: the key %q exists and nothing was written", key))
	}
	return unmet(fmt.Sprintf("--if-revision %d: the key %q is not at this revision and nothing was written: get -o json shows its mod_revision", c.revision, key))
}

// unmet says why a conditional write was not done.
type unmet string

func (u unmet) Error() string { return string(u) }
func (u unmet) Unwrap() error { return client.ErrPreconditionFailed }

func putCommand() *cobra.Command {
	var r remote
	var cond conditions
	cmd := &cobra.Command{
		Use:     "put KEY VALUE",
		Short:   "Write a key; VALUE - reads the value from standard input",
		Example: "  quorate put greeting hello\n  quorate put photo - < photo.jpg",
		Args:    exactly("KEY", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conds, err := cond.list(cmd)
			if err != nil {
				return err
			}
			value, err := valueOf(args[1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				revision, err := c.Put(ctx, []byte(args[0]), value, conds...)
				if err != nil {
					return cond.explain(args[0], err)
				}
				return r.show(cmd.OutOrStdout(), wire.Written{Revision: revision}, func(w io.Writer) {
					row(w, "revision", revision)
				})
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().Uint64Var(&cond.revision, "if-revision", 0, "write only if the key was last written at this revision")
	cmd.Flags().BoolVar(&cond.absent, "if-absent", false, "write only if the key does not exist")
	return cmd
}

// valueOf is the argument, or what standard input has if that is a dash.
func valueOf(arg string, in io.Reader) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	value, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("standard input could not be read: %w", err)
	}
	if len(value) > maxInput {
		return nil, usagef("standard input has more than %d bytes: no server takes so large a value", maxInput)
	}
	return value, nil
}

// maxInput bounds what is read before a server says that it is too much, in bytes.
const maxInput = 64 << 20

// reading are the flags of reads.
type reading struct {
	stale    bool
	revision uint64
}

func (r *reading) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.stale, "stale", false, "read what the endpoint has, perhaps not the latest; needs no leader")
	cmd.Flags().Uint64Var(&r.revision, "revision", 0, "read the store as it was at this revision")
}

func (r *reading) options() []client.ReadOption {
	var all []client.ReadOption
	if r.stale {
		all = append(all, client.Stale())
	}
	if r.revision > 0 {
		all = append(all, client.At(r.revision))
	}
	return all
}

// got is the JSON of get.
type got struct {
	Key         string `json:"key,omitempty"`
	KeyBase64   []byte `json:"key_base64,omitempty"`
	Value       string `json:"value,omitempty"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
	ModRevision uint64 `json:"mod_revision"`
	Revision    uint64 `json:"revision"`
}

func getCommand() *cobra.Command {
	var r remote
	var how reading
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key, byte for byte",
		Args:  exactly("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				v, err := c.Get(ctx, []byte(args[0]), how.options()...)
				if err != nil {
					return err
				}
				return r.showValue(cmd.OutOrStdout(), args[0], v)
			})
		},
	}
	r.flags(cmd)
	how.flags(cmd)
	return cmd
}

func (r *remote) showValue(out io.Writer, key string, v client.Value) error {
	if r.output == "json" {
		var kv wire.KV
		kv.SetBytes([]byte(key), v.Bytes)
		return r.show(out, got{kv.Key, kv.KeyBase64, kv.Value, kv.ValueBase64, v.ModRevision, v.Revision}, nil)
	}
	_, err := out.Write(v.Bytes)
	if err == nil && isTerminal(out) {
		_, err = fmt.Fprintln(out) // so that the prompt starts a line
	}
	return err
}

func delCommand() *cobra.Command {
	var r remote
	var cond conditions
	cmd := &cobra.Command{
		Use:   "del KEY",
		Short: "Remove a key; it is no error if there is none",
		Args:  exactly("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conds, err := cond.list(cmd)
			if err != nil {
				return err
			}
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				deleted, revision, err := c.Delete(ctx, []byte(args[0]), conds...)
				if err != nil {
					return cond.explain(args[0], err)
				}
				return r.show(cmd.OutOrStdout(), wire.Written{Revision: revision, Deleted: &deleted}, func(w io.Writer) {
					row(w, "deleted", deleted)
					row(w, "revision", revision)
				})
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().Uint64Var(&cond.revision, "if-revision", 0, "remove only if the key was last written at this revision")
	return cmd
}
