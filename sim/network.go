package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// network carries frames between nodes, as badly as its weather says.
type network struct {
	world   *world
	sim     *run
	weather Weather
	ends    map[string]*endpoint // by address; those that listen
	links   map[way]*link
	streams []*stream // under way
	draft   []byte    // the frame that is sent now
}

// way is one direction between two nodes, by their numbers.
type way struct{ from, to int }

// link is the state of one direction.
type link struct {
	cut  bool
	clog time.Duration // nothing arrives before this time
	last time.Duration // when the last frame arrives: order holds on a connection
}

func (n *network) link(from, to int) *link {
	k := way{from, to}
	l := n.links[k]
	if l == nil {
		l = &link{}
		n.links[k] = l
	}
	return l
}

// transit returns how long something that is sent now is under way, but not less
// than what was sent before it in the same order, if that is not nil; false: it
// never arrives.
func (n *network) transit(l *link, order *time.Duration) (time.Duration, bool) {
	if l.cut {
		return 0, false
	}
	at := max(n.world.now+between(n.world.rng, n.weather.Least.D(), n.weather.Most.D()), l.clog)
	if order != nil {
		at = max(at, *order)
		*order = at
	}
	return at - n.world.now, true
}

// Listen implements [quorate.Network] for one node.
func (n *node) Listen(cfg transport.Config) (quorate.Transport, error) {
	e := &endpoint{
		node: n, life: n.life, cfg: cfg,
		peers: map[raft.NodeID]string{}, doors: map[*endpoint]*door{},
	}
	if old := n.sim.net.ends[cfg.Listen]; old != nil && old.up() {
		return nil, fmt.Errorf("sim: %s is in use", cfg.Listen)
	}
	n.sim.net.ends[cfg.Listen] = e
	n.world.after(pingEvery, &n.process, e.ping)
	return e, nil
}

// find returns who listens at an address and is the node that is meant: a
// handshake refuses everybody else.
func (n *network) find(address string, id raft.NodeID) *endpoint {
	if e := n.ends[address]; e != nil && e.up() && e.cfg.Node == id {
		return e
	}
	return nil
}

// gone tells those who know a node that its process has ended: its machine still
// answers, and says that nobody listens. A machine without power says nothing.
func (n *network) gone(dead *node) {
	for _, e := range n.sorted() {
		if !e.up() || e.node == dead || e.peers[dead.id] == "" {
			continue
		}
		if d, ok := n.transit(n.link(dead.number, e.node.number), nil); ok {
			n.world.after(d, &e.node.process, func() { e.cfg.Handler.Unreachable(dead.id, true) })
		}
	}
	for _, s := range n.streams {
		if s.from.node == dead || s.to.node == dead {
			s.breakOff(n.weather.Most.D())
		}
	}
}

// sorted returns everybody who listens, by address.
func (n *network) sorted() []*endpoint {
	all := make([]*endpoint, 0, len(n.ends))
	for _, node := range n.sim.nodes {
		if e := n.ends[node.address]; e != nil {
			all = append(all, e)
		}
	}
	return all
}

// heal makes the network whole.
func (n *network) heal() {
	for _, l := range n.links { //order: each is treated alike
		l.cut, l.clog, l.last = false, 0, 0
	}
	n.weather = calm
}

// calm is the weather of the second phase.
var calm = Weather{Least: Duration(200 * time.Microsecond), Most: Duration(time.Millisecond)}

// cut cuts every direction between the two sets, or only that from the first to
// the second.
func (n *network) cut(from, to []int, oneWay bool) {
	for _, a := range from {
		for _, b := range to {
			if a == b || slices.Contains(to, a) && slices.Contains(from, b) && a > b {
				continue
			}
			n.link(a, b).cut = true
			if !oneWay {
				n.link(b, a).cut = true
			}
		}
	}
}
