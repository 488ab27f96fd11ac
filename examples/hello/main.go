// Command hello is the smallest program that embeds the library: a counter, on
// one node, that survives kill -9. Run it twice.
package main

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/quorate-db/quorate"
)

type counter struct{ n int }

func (c *counter) Apply(batch []quorate.Command) error {
	for i := range batch {
		c.n++
		batch[i].Result = fmt.Sprintf("%s no. %d", batch[i].Data, c.n)
	}
	return nil
}

func (c *counter) Snapshot() (quorate.View, error) { return *c, nil } // a copy no longer changes
func (c *counter) Restore(r io.Reader) error       { _, err := fmt.Fscan(r, &c.n); return err }
func (c counter) WriteTo(w io.Writer) (int64, error) {
	n, err := fmt.Fprint(w, c.n)
	return int64(n), err
}
func (c counter) Close() error { return nil }

func main() {
	host, err := quorate.Open(quorate.Config{Dir: "hello.data", Listen: "127.0.0.1:7170"})
	if err != nil {
		log.Fatal(err)
	}
	self := quorate.Member{ID: host.ID(), Role: quorate.Voter, Address: host.Addr()}
	group, err := host.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{self}, StateMachine: &counter{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(group.Propose(context.Background(), []byte("hello")))
}
