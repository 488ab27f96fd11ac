// Command three is hello world on three nodes, one process each, which survive
// kill -9. Start one in each of three terminals, in the same directory; the first
// argument says which of the three addresses is its own:
//
//	go run ./examples/three 1 localhost:7181 localhost:7182 localhost:7183      (and 2, and 3)
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/quorate-db/quorate"
)

type counter int

func (c *counter) Apply(batch []quorate.Command) error {
	for i := range batch {
		*c++
		batch[i].Result = fmt.Sprintf("%s, no. %d", batch[i].Data, *c)
	}
	return nil
}

func (c *counter) Restore(r io.Reader) error { _, err := fmt.Fscan(r, c); return err }
func (c *counter) Snapshot() (quorate.View, error) {
	return io.NopCloser(strings.NewReader(fmt.Sprint(*c))).(quorate.View), nil // it keeps the reader's WriteTo
}

func main() {
	var members []quorate.Member
	for i, address := range os.Args[2:] {
		members = append(members, quorate.Member{ID: quorate.NodeID(i + 1), Role: quorate.Voter, Address: address})
	}
	self := members[os.Args[1][0]-'1']
	host, err := quorate.Open(quorate.Config{ID: self.ID, Dir: "three-" + os.Args[1] + ".data", Listen: self.Address})
	if err != nil {
		log.Fatal(err)
	}
	group, err := host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: new(counter)})
	if err != nil {
		log.Fatal(err)
	}
	for range time.Tick(time.Second) {
		fmt.Println(group.Propose(context.Background(), []byte("hello from "+os.Args[1])))
	}
}
