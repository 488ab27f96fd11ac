package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

func rangeCommand() *cobra.Command {
	var r remote
	var how reading
	var start, end string
	var limit int
	cmd := &cobra.Command{
		Use:     "range [PREFIX]",
		Short:   "List keys in byte order: those with the prefix, or all",
		Example: "  quorate range users/\n  quorate range --start a --end n --limit 10",
		Args:    optional("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usagef("--limit %d: it must not be negative", limit)
			}
			which := client.Range{Start: []byte(start), End: []byte(end), Limit: limit}
			if len(args) > 0 {
				which.Prefix = []byte(args[0])
			}
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				all, err := listAll(ctx, c, which, how)
				if err != nil {
					return err
				}
				return r.show(cmd.OutOrStdout(), wireListing(all), func(w io.Writer) { listingTable(w, all) })
			})
		},
	}
	r.flags(cmd)
	how.flags(cmd)
	cmd.Flags().StringVar(&start, "start", "", "first key")
	cmd.Flags().StringVar(&end, "end", "", "key to stop before")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many keys (default: all)")
	return cmd
}

// listAll follows a listing over the server's own limit, all pages at the
// revision of the first.
func listAll(ctx context.Context, c *client.Client, which client.Range, how reading) (*client.Listing, error) {
	all, err := c.List(ctx, which, how.options()...)
	if err != nil {
		return nil, err
	}
	how.revision = all.Revision
	for all.More && len(all.KVs) > 0 && (which.Limit == 0 || len(all.KVs) < which.Limit) {
		next := all.Next(which)
		if which.Limit > 0 {
			next.Limit -= len(all.KVs)
		}
		page, err := c.List(ctx, next, how.options()...)
		if err != nil {
			return nil, err
		}
		all.KVs, all.More = append(all.KVs, page.KVs...), page.More && len(page.KVs) > 0
	}
	return all, nil
}

func wireListing(all *client.Listing) wire.Listing {
	out := wire.Listing{Revision: all.Revision, More: all.More, KVs: make([]wire.KV, len(all.KVs))}
	for i, kv := range all.KVs {
		out.KVs[i].SetBytes(kv.Key, kv.Value)
		out.KVs[i].CreateRevision, out.KVs[i].ModRevision, out.KVs[i].Version = kv.CreateRevision, kv.ModRevision, kv.Version
	}
	return out
}

func listingTable(w io.Writer, all *client.Listing) {
	row(w, "KEY", "VALUE", "REVISION", "VERSION")
	for _, kv := range all.KVs {
		row(w, printable(kv.Key), printable(kv.Value), kv.ModRevision, kv.Version)
	}
}

// printable is text as it is, and all else quoted as in Go, so that no value can
// break the table or the terminal.
func printable(b []byte) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if text := string(b); utf8.Valid(b) && strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	return strconv.Quote(string(b))
}
