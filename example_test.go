package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/quorate-db/quorate"
)

// register holds one text: the last one proposed.
type register struct{ text string }

func (r *register) Apply(batch []quorate.Command) error {
	for i := range batch {
		batch[i].Result = "was " + r.text
		r.text = string(batch[i].Data)
	}
	return nil
}

func (r *register) Snapshot() (quorate.View, error) {
	return registerView{strings.NewReader(r.text)}, nil
}

func (r *register) Restore(from io.Reader) error {
	text, err := io.ReadAll(from)
	if err == nil {
		r.text = string(text)
	}
	return err
}

type registerView struct{ *strings.Reader }

func (registerView) Close() error { return nil }

// A group of one, which needs no peers: it elects itself, and answers once its
// disk has the command.
func Example() {
	dir, err := os.MkdirTemp("", "quorate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	host, err := quorate.Open(quorate.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(context.Background())
	group, err := host.Start(quorate.GroupConfig{
		ID:           1,
		Members:      []quorate.Member{{ID: host.ID(), Role: quorate.Voter, Address: host.Addr()}},
		StateMachine: &register{text: "nothing"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		result, err := group.Propose(context.Background(), []byte(text))
		fmt.Println(result, err)
	}
	// Output:
	// was nothing <nil>
	// was one <nil>
}

// The three outcomes of a proposal. Here the other two members never start, so
// that there is no leader and the command is certainly not carried out.
func ExampleGroup_Propose() {
	dir, err := os.MkdirTemp("", "quorate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	host, err := quorate.Open(quorate.Config{Dir: dir, Listen: "127.0.0.1:0", ID: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(context.Background())
	group, err := host.Start(quorate.GroupConfig{
		ID: 1,
		Members: []quorate.Member{
			{ID: 1, Role: quorate.Voter, Address: host.Addr()},
			{ID: 2, Role: quorate.Voter, Address: "127.0.0.1:1"},
			{ID: 3, Role: quorate.Voter, Address: "127.0.0.1:2"},
		},
		StateMachine: &register{},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	switch result, err := group.Propose(ctx, []byte("three")); {
	case err == nil:
		fmt.Println("done:", result)
	case errors.Is(err, quorate.ErrUnknownOutcome):
		fmt.Println("it may or may not be carried out")
	default:
		fmt.Println("certainly not carried out:", errors.Is(err, quorate.ErrNoLeader))
	}
	// Output: certainly not carried out: true
}

// Events say what happens on a host to whoever takes them from the channel.
func ExampleConfig_events() {
	dir, err := os.MkdirTemp("", "quorate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	events := make(chan quorate.Event, 256)
	host, err := quorate.Open(quorate.Config{ID: 1, Dir: dir, Listen: "127.0.0.1:0", Events: events})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(context.Background())
	alone := []quorate.Member{{ID: 1, Role: quorate.Voter, Address: host.Addr()}}
	if _, err := host.Start(quorate.GroupConfig{ID: 1, Members: alone, StateMachine: &register{}}); err != nil {
		log.Fatal(err)
	}
	for e := range events {
		if e.Kind == quorate.LeaderChanged && e.Node == host.ID() {
			fmt.Printf("%v: group %d is led by this node\n", e.Kind, e.Group)
			break
		}
	}
	// Output: leader changed: group 1 is led by this node
}
