package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/node"
)

func memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List, add, promote and remove members",
		Args:  cobra.ArbitraryArgs,
		RunE:  group,
	}
	cmd.AddCommand(memberList(), memberAdd(), memberPromote(), memberRemove())
	return cmd
}

func memberList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members that the endpoint knows",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				m, err := c.Members(ctx)
				if err != nil {
					return err
				}
				return r.show(cmd.OutOrStdout(), m, func(w io.Writer) { memberTable(w, m.Members) })
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func memberTable(w io.Writer, members []wire.Member) {
	row(w, "ID", "NAME", "ROLE", "LEADER", "PEER URL", "CLIENT URLS")
	for _, m := range members {
		leader := ""
		if m.Leader {
			leader = "leader"
		}
		row(w, m.ID, printable([]byte(m.Name)), m.Role, leader, m.PeerURL, strings.Join(m.ClientURLs, ","))
	}
}

func memberAdd() *cobra.Command {
	var r remote
	var peer string
	var learner bool
	cmd := &cobra.Command{
		Use:   "add NAME --peer-url URL",
		Short: "Add a member that will be started, as a learner",
		Long: "add makes a member known to the cluster before its first start. It joins as a learner and is promoted\n" +
			"once it has caught up, or with --learner, when you promote it. \"quorate serve --join URL\" does this by\n" +
			"itself: add is for those who want to see the cluster agree first.",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if peer == "" {
				return usagef("--peer-url is missing: where will the other members reach %s", args[0])
			}
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				m, err := c.AddMember(ctx, wire.AddMember{Name: args[0], PeerURL: peer, Learner: learner})
				if err != nil {
					return err
				}
				return r.show(cmd.OutOrStdout(), m, func(w io.Writer) {
					memberTable(w, []wire.Member{*m})
					fmt.Fprintf(w, "\nNow start it:\n  quorate serve --name %s --initial-cluster-state existing --join %s --listen-peer-urls %s --listen-client-urls URL\n",
						m.Name, c.Endpoints()[0], m.PeerURL)
				})
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&peer, "peer-url", "", "where the other members will reach it, such as http://10.0.0.4:2380")
	cmd.Flags().BoolVar(&learner, "learner", false, "it stays a learner until it is promoted with member promote")
	return cmd
}

// done is the JSON of a command that has no other result.
type done struct {
	Member wire.ID `json:"member"`
	Done   string  `json:"done"`
}

func memberPromote() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "promote ID|NAME",
		Short: "Make a learner a voter; waits until it has caught up",
		Args:  exactly("ID|NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onMember(cmd, args[0], "promoted", (*client.Client).PromoteMember)
		},
	}
	r.flags(cmd)
	return cmd
}

func memberRemove() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "remove ID|NAME",
		Short: "Remove a member for good; its data directory cannot come back",
		Args:  exactly("ID|NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onMember(cmd, args[0], "removed", (*client.Client).RemoveMember)
		},
	}
	r.flags(cmd)
	return cmd
}

// onMember does something to one member and says that it is done.
func (r *remote) onMember(cmd *cobra.Command, who, did string, do func(*client.Client, context.Context, wire.ID) error) error {
	return r.run(cmd, func(ctx context.Context, c *client.Client) error {
		id, err := resolve(ctx, c, who)
		if err != nil {
			return err
		}
		if err := do(c, ctx, id); err != nil {
			return err
		}
		return r.show(cmd.OutOrStdout(), done{id, did}, func(w io.Writer) { row(w, did, id) })
	})
}

// resolve finds the ID of a member by its name or ID. A name comes first, unless
// all 16 digits of an ID are written: members are often called a, b and c.
func resolve(ctx context.Context, c *client.Client, who string) (wire.ID, error) {
	id, err := wire.ParseID(who)
	if err == nil && len(who) == 16 {
		return id, nil
	}
	m, listErr := c.Members(ctx)
	if listErr != nil {
		return 0, listErr
	}
	var named []wire.ID
	for _, member := range m.Members {
		if member.Name == who {
			named = append(named, member.ID)
		}
	}
	switch {
	case len(named) == 1:
		return named[0], nil
	case len(named) > 1:
		return 0, usagef("%d members have the name %q: write the ID that member list shows", len(named), who)
	case err == nil:
		return id, nil
	}
	return 0, fmt.Errorf("%w: %q is neither the name nor the ID of a member; see quorate member list", client.ErrMemberUnknown, who)
}

func leaderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leader",
		Short: "Hand leadership over",
		Args:  cobra.ArbitraryArgs,
		RunE:  group,
	}
	cmd.AddCommand(leaderTransfer())
	return cmd
}

func leaderTransfer() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "transfer [ID|NAME]",
		Short: "Make the member the leader, or the one most up to date",
		Args:  optional("ID|NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				var to wire.ID
				if len(args) > 0 {
					var err error
					if to, err = resolve(ctx, c, args[0]); err != nil {
						return err
					}
				}
				leader, err := c.TransferLeader(ctx, to)
				if err != nil {
					return err
				}
				return r.show(cmd.OutOrStdout(), wire.Transferred{Leader: leader}, func(w io.Writer) { row(w, "leader", leader) })
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), node.Version())
			return err
		},
	}
}
