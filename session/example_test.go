package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/session"
)

// addTwice adds two to a counter, whatever is lost on the way.
func addTwice(ctx context.Context, group *quorate.Group) (sum []byte, err error) {
	client, err := session.Open(ctx, group)
	if err != nil {
		return nil, err
	}
	for range 2 {
		if sum, err = client.Propose(ctx, []byte("add")); err != nil {
			return nil, err
		}
	}
	return sum, client.Close(ctx)
}

func Example() {
	dir, err := os.MkdirTemp("", "session")
	check(err)
	defer os.RemoveAll(dir)
	host, err := quorate.Open(quorate.Config{Dir: dir, ID: 1, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	check(err)
	machine, err := session.Machine(session.Config{}, &counter{})
	check(err)
	group, err := host.Start(quorate.GroupConfig{ID: 1, StateMachine: machine, Members: []quorate.Member{{ID: 1, Role: quorate.Voter, Address: host.Addr()}}})
	check(err)
	sum, err := addTwice(context.Background(), group)
	check(err)
	fmt.Printf("%s\n", sum)
	check(host.Close(context.Background()))
	// Output: 2
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
