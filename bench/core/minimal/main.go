// Command minimal is a group of one node, so that the core can be weighed: what a
// browser downloads if it runs the core and nothing else.
package main

import (
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

func main() {
	saved, err := raft.Bootstrap(membership.New(membership.Member{ID: 1, Role: membership.Voter}))
	if err != nil {
		panic(err)
	}
	core, err := raft.New(raft.Config{ID: 1}, saved)
	if err != nil {
		panic(err)
	}
	core.Campaign()
	core.Persisted(core.Take().WriteID)
	if _, err := core.Propose([]byte("hello")); err != nil {
		panic(err)
	}
	core.Persisted(core.Take().WriteID)
	for _, e := range core.Entries(raft.BootstrapID.Index, core.Take().Commit, 1<<20) {
		println(e.String(), string(e.Data))
	}
}
