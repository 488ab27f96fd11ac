// Command bank keeps accounts on three nodes, one process each. Start one in each
// of three terminals, in the same directory, and type "ann 100" or "ann -30":
//
//	go run ./examples/bank -node 1      (and 2, and 3)
//
// Whether a withdrawal is covered is decided where it is applied: there all nodes
// see the same commands in the same order, and come to the same answer.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/quorate-db/quorate"
)

type bank struct{ Balance map[string]int }

func (b *bank) Apply(batch []quorate.Command) error {
	for i, command := range batch {
		name, amount := "", 0
		if _, err := fmt.Sscan(string(command.Data), &name, &amount); err != nil || b.Balance[name]+amount < 0 {
			batch[i].Result = fmt.Sprintf("refused: %s has %d", name, b.Balance[name])
			continue // a refusal is an answer; an error would stop the bank
		}
		b.Balance[name] += amount
		batch[i].Result = fmt.Sprintf("%s has %d", name, b.Balance[name])
	}
	return nil
}

type view struct{ *bytes.Reader }

func (view) Close() error { return nil }

func (b *bank) Snapshot() (quorate.View, error) {
	text, err := json.Marshal(b)
	return view{bytes.NewReader(text)}, err
}

func (b *bank) Restore(r io.Reader) error {
	var saved bank
	err := json.NewDecoder(r).Decode(&saved)
	if err == nil {
		*b = saved
	}
	return err
}

func main() {
	node, port := flag.Int("node", 1, "1, 2 or 3"), flag.Int("port", 7170, "the nodes listen on the three ports after it")
	flag.Parse()
	var members []quorate.Member
	for id := 1; id <= 3; id++ {
		members = append(members, quorate.Member{ID: quorate.NodeID(id), Role: quorate.Voter, Address: fmt.Sprint("127.0.0.1:", *port+id)})
	}
	self := members[*node-1]
	host := must(quorate.Open(quorate.Config{ID: self.ID, Dir: fmt.Sprintf("bank-%d.data", self.ID), Listen: self.Address}))
	group := must(host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: &bank{map[string]int{}}}))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(must(group.Propose(context.Background(), lines.Bytes()))) // with no deadline it waits for a leader
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
