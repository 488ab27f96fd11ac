package load

// Node is one replica and its driver: a core, and storage that is durable at once.
// M is the core's message.
type Node[M any] interface {
	Tick()
	Campaign()
	Step(m *M)
	Propose(command []byte) // to the leader

	// Drain does once what the inputs so far have made necessary: store, send,
	// apply, report all that. It reports whether there was anything.
	Drain(net *Net[M]) bool

	Leads() bool
	Applied() int     // commands applied so far
	Compact(keep int) // the log, but for the last applied entries
}

// replicas is the size of a cluster. Nodes are numbered from 1.
const replicas = 3

// Net holds the messages that are on their way to each node.
type Net[M any] struct{ inbox [replicas][]M }

// Send hands a message over; the node takes it at its next turn.
func (n *Net[M]) Send(to uint64, m *M) { n.inbox[to-1] = append(n.inbox[to-1], *m) }

// Cluster is one group of three nodes.
type Cluster[M any] struct {
	nodes     [replicas]Node[M]
	net       *Net[M]
	compacted int // commands applied at the last compaction
}

// NewCluster returns a group of nodes that know of each other and have no leader.
func NewCluster[M any](node func(id uint64) Node[M]) *Cluster[M] {
	c := &Cluster[M]{net: new(Net[M])}
	for i := range c.nodes {
		c.nodes[i] = node(uint64(i + 1))
	}
	return c
}

// round gives every node one turn: take what has arrived, do what follows. It
// reports whether anything was done.
func (c *Cluster[M]) round() bool {
	busy := false
	for i, n := range c.nodes {
		for j := range c.net.inbox[i] {
			n.Step(&c.net.inbox[i][j])
		}
		c.net.inbox[i] = c.net.inbox[i][:0]
		busy = n.Drain(c.net) || busy
	}
	return busy
}

// settle lets all messages arrive and all that follows happen.
func (c *Cluster[M]) settle() {
	for c.round() {
	}
}

// elect lets time pass until a node leads and the others know.
func (c *Cluster[M]) elect() {
	for c.leader() == nil {
		c.tick()
	}
}

// lead makes the first node lead without waiting.
func (c *Cluster[M]) lead() {
	c.nodes[0].Campaign()
	c.settle()
	if !c.nodes[0].Leads() {
		panic("load: the first node campaigned alone and does not lead")
	}
}

// tick lets one tick pass for all, and what follows from it happen.
func (c *Cluster[M]) tick() {
	for _, n := range c.nodes {
		n.Tick()
	}
	c.settle()
}

// tickOne lets one tick pass for one node; what it says is lost.
func (c *Cluster[M]) tickOne(i int) {
	c.nodes[i].Tick()
	c.nodes[i].Drain(c.net)
	for i := range c.net.inbox {
		c.net.inbox[i] = c.net.inbox[i][:0]
	}
}

func (c *Cluster[M]) leader() Node[M] {
	for _, n := range c.nodes {
		if n.Leads() {
			return n
		}
	}
	return nil
}

// Logs are compacted every so many commands, to the last so many: as etcd's server
// does by default, and ours.
const (
	compactEvery = 10_000
	compactKeep  = 5_000
)

// replicate has so many commands of a size applied on all nodes. At most inFlight
// of them are proposed and not yet applied by the leader.
func (c *Cluster[M]) replicate(commands, inFlight, size int) {
	leader := c.leader()
	proposed := leader.Applied()
	goal := proposed + commands
	for c.behind(goal) {
		for proposed < goal && proposed-leader.Applied() < inFlight {
			leader.Propose(make([]byte, size))
			proposed++
		}
		c.round()
		if leader.Applied()-c.compacted >= compactEvery {
			c.compacted = leader.Applied()
			c.compact(compactKeep)
		}
	}
}

func (c *Cluster[M]) behind(goal int) bool {
	for _, n := range c.nodes {
		if n.Applied() < goal {
			return true
		}
	}
	return false
}

func (c *Cluster[M]) compact(keep int) {
	for _, n := range c.nodes {
		n.Compact(keep)
	}
}

// strip gives up what only this package needs, so that the cores can be weighed.
func (c *Cluster[M]) strip() { c.net = nil }
