package load

import (
	"bytes"
	"encoding/json"
	"testing"
)

// toy is a core that agrees with itself: the first node leads, sends each command
// to all, and nobody waits for anybody.
type toy struct {
	id      uint64
	leads   bool
	todo    []int
	applied int
	kept    int
	most    int // commands taken in one turn
}

func (n *toy) Tick()          { n.leads = n.id == 1 }
func (n *toy) Campaign()      { n.leads = n.id == 1 }
func (n *toy) Step(m *int)    { n.todo = append(n.todo, *m) }
func (n *toy) Propose([]byte) { n.todo = append(n.todo, 1) }
func (n *toy) Leads() bool    { return n.leads }
func (n *toy) Applied() int   { return n.applied }
func (n *toy) Compact(k int)  { n.kept = k }

func (n *toy) Drain(net *Net[int]) bool {
	busy := len(n.todo) > 0
	n.most = max(n.most, len(n.todo))
	for i := range n.todo {
		if n.leads {
			net.Send(2, &n.todo[i])
			net.Send(3, &n.todo[i])
		}
		n.applied += n.todo[i]
	}
	n.todo = n.todo[:0]
	return busy
}

func toys() (*Cluster[int], []*toy) {
	var all []*toy
	c := NewCluster(func(id uint64) Node[int] {
		all = append(all, &toy{id: id, kept: -1})
		return all[id-1]
	})
	return c, all
}

func TestEveryCommandReachesEveryNode(t *testing.T) {
	c, all := toys()
	c.elect()
	c.replicate(compactEvery+1, 16, 8)
	for _, n := range all {
		if n.applied != compactEvery+1 {
			t.Errorf("node %d applied %d commands, want %d", n.id, n.applied, compactEvery+1)
		}
		if n.kept != compactKeep {
			t.Errorf("node %d was asked to keep %d of its log, want %d", n.id, n.kept, compactKeep)
		}
	}
	if all[0].most != 16 {
		t.Errorf("the leader was given up to %d commands at a time, want 16", all[0].most)
	}
}

func TestServeAnswersEachCase(t *testing.T) {
	var in, out bytes.Buffer
	for _, c := range []Case{{Work: Elect}, {Work: Weigh}} {
		if err := json.NewEncoder(&in).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	err := Serve(&in, &out, func(int) *Cluster[int] { c, _ := toys(); return c })
	if err != nil {
		t.Fatal(err)
	}
	costs := json.NewDecoder(&out)
	for _, want := range []string{"an election", "a weight"} {
		var cost Cost
		if err := costs.Decode(&cost); err != nil {
			t.Fatalf("no answer for %s: %v", want, err)
		}
	}
	if costs.More() {
		t.Error("more answers than cases")
	}
	if err := Serve(bytes.NewBufferString("nonsense"), &out, func(int) *Cluster[int] { return nil }); err == nil {
		t.Error("nonsense was taken for a case")
	}
}
