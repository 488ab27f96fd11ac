package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// answered is what one endpoint said about itself, or why it said nothing.
type answered struct {
	Endpoint string       `json:"endpoint"`
	Status   *wire.Status `json:"status,omitempty"`
	Error    string       `json:"error,omitempty"`
	err      error
}

func statusCommand() *cobra.Command {
	var r remote
	var all, hash bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what each endpoint knows; needs no leader",
		Long: "status asks each endpoint by itself: role, term, leader, how far its log has come, and from the leader\n" +
			"the progress of each follower. The exit code is 5 if one of them does not answer.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.run(cmd, func(ctx context.Context, c *client.Client) error {
				endpoints := c.Endpoints()
				if all {
					m, err := c.Members(ctx)
					if err != nil {
						return err
					}
					endpoints = clientURLs(m.Members)
				}
				statuses := r.ask(ctx, endpoints, hash)
				if err := r.show(cmd.OutOrStdout(), statuses, func(w io.Writer) { statusTable(w, statuses, hash) }); err != nil {
					return err
				}
				return complete(statuses)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "cluster", false, "ask all members, not only the endpoints")
	cmd.Flags().BoolVar(&hash, "hash", false, "also show the hash of the whole state; it walks over all keys")
	return cmd
}

// clientURLs returns one URL of each member that has started.
func clientURLs(members []wire.Member) []string {
	var urls []string
	for _, m := range members {
		if len(m.ClientURLs) > 0 {
			urls = append(urls, m.ClientURLs[0])
		}
	}
	return urls
}

// ask asks all endpoints at once, each by itself.
func (r *remote) ask(ctx context.Context, endpoints []string, hash bool) []answered {
	statuses := make([]answered, len(endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range endpoints {
		a := &statuses[i]
		a.Endpoint = endpoint
		wg.Go(func() {
			var c *client.Client
			if c, a.err = client.New(r.config([]string{endpoint})); a.err == nil {
				a.Status, a.err = c.Status(ctx, hash)
			}
			if a.err != nil {
				a.Error = a.err.Error()
			}
		})
	}
	wg.Wait()
	return statuses
}

// complete returns an error if an endpoint did not answer.
func complete(statuses []answered) error {
	p := partial{asked: len(statuses)}
	for _, a := range statuses {
		if a.err == nil {
			continue
		}
		if p.missing++; p.missing == 1 {
			p.first = a.err
		}
	}
	if p.missing == 0 {
		return nil
	}
	return p
}

// partial says that some endpoints did not answer.
type partial struct {
	missing, asked int
	first          error
}

func (p partial) Error() string {
	why := strings.TrimPrefix(p.first.Error(), client.ErrUnavailable.Error()+": ")
	return fmt.Sprintf("%d of %d endpoints did not answer: %s", p.missing, p.asked, why)
}

func (p partial) Unwrap() error { return p.first }

func statusTable(w io.Writer, statuses []answered, hash bool) {
	head := []any{"ENDPOINT", "NAME", "ID", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "DURABLE", "LAST"}
	if hash {
		head = append(head, "HASH")
	}
	row(w, head...)
	for _, a := range statuses {
		if a.Status == nil {
			silent := append([]any{a.Endpoint, "-", "-", "no answer"}, slices.Repeat([]any{"-"}, len(head)-4)...)
			row(w, silent...) // with all cells, or the rows below are aligned by themselves
			continue
		}
		s := a.Status
		cells := []any{a.Endpoint, s.Name, s.ID, role(s), s.Term, leader(s), s.Log.Commit, s.Log.Applied, s.Log.Durable, s.Log.Last}
		if s.Hash != nil {
			cells = append(cells, fmt.Sprintf("%s at %d", s.Hash.Hash, s.Hash.Applied))
		}
		row(w, cells...)
	}
	for _, a := range statuses {
		if a.Status != nil && len(a.Status.Followers) > 0 {
			fmt.Fprintf(w, "\nFollowers, as %s sees them:\n", a.Status.Name)
			followerTable(w, a.Status.Followers)
		}
	}
}

func role(s *wire.Status) string {
	switch {
	case s.Error != "":
		return "stopped: " + s.Error
	case s.Learner:
		return "learner"
	}
	return s.Role
}

func leader(s *wire.Status) string {
	if s.Leader == 0 {
		return "none"
	}
	return s.Leader.String()
}

func followerTable(w io.Writer, followers []wire.Follower) {
	row(w, "NAME", "ID", "STATE", "MATCH", "NEXT", "IN FLIGHT", "PAUSED", "ACTIVE")
	for _, f := range followers {
		row(w, f.Name, f.ID, f.State, f.Match, f.Next, f.InFlight, f.Paused, f.Active)
	}
}
