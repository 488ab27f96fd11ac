package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
)

// door is what stands for the handshakes between one life of a node and another's: at
// both ends the host is asked whether it knows who is there, as over TCP, and what is
// said first waits for its answer.
type door struct {
	open    bool
	shut    error // why it is not opened; nil: it is, or may be
	waiting []func()
}

// origin is what a life of a node says of itself.
func (e *endpoint) origin() transport.Origin {
	o := e.cfg.Origin
	o.Life = e.life
	return o
}

// greet makes a connection to a node that may be there.
func (e *endpoint) greet(id raft.NodeID, address string) {
	net := e.node.sim.net
	target := net.find(address, id)
	if target == nil {
		return // it will do so when it starts
	}
	e.reach(target, func() {
		if d, ok := net.transit(net.link(e.node.number, target.node.number), nil); ok {
			net.world.after(d, &target.node.process, func() { target.pass(e, func() {}) })
		}
	})
}

// pingEvery is how often nodes tell each other how far their logs have come, as over
// TCP with the limits that the transport has by default.
const pingEvery = time.Second

func (e *endpoint) ping() {
	if !e.up() {
		return
	}
	net, mark := e.node.sim.net, e.cfg.Memory.Mark()
	for _, target := range net.sorted() {
		if known := e.doors[target]; known == nil || !known.open || !target.up() {
			continue
		}
		if d, ok := net.transit(net.link(e.node.number, target.node.number), nil); ok {
			net.world.after(d, &target.node.process, func() {
				target.pass(e, func() { target.cfg.Memory.Learn(e.cfg.Node, mark) })
			})
		}
	}
	net.world.after(pingEvery, &e.node.process, e.ping)
}

// reach does something that another endpoint is to hear of, if there is a connection
// or one can be made, and the node that is there is not turned away.
func (e *endpoint) reach(target *endpoint, do func()) {
	net, a, b := e.node.sim.net, e.node.number, target.node.number
	if e.doors[target] == nil && (net.link(a, b).cut || net.link(b, a).cut) {
		return
	}
	e.pass(target, do)
}

// pass does something on behalf of another endpoint, at once or as soon as its node was
// met, unless that is turned away.
func (e *endpoint) pass(from *endpoint, do func()) {
	if !e.up() {
		return
	}
	d := e.doors[from]
	switch {
	case d == nil:
		d = &door{waiting: []func(){do}}
		e.doors[from] = d
		e.tasks.Go(&e.node.process, func() { e.answer(from, d) })
	case d.open:
		do()
	case d.shut != nil:
		e.turnAway(from, d.shut) // whoever is there tries again and again
	default:
		d.waiting = append(d.waiting, do)
	}
}

// answer asks the host.
func (e *endpoint) answer(from *endpoint, d *door) {
	switch err := e.cfg.Memory.Meet(from.cfg.Node, from.origin()); {
	case !e.up():
	case err == nil:
		d.open = true
		e.node.knows[from.node.number] = true
		for _, do := range d.waiting {
			do()
		}
	case errors.Is(err, transport.ErrForgotten):
		d.shut = err
		e.node.sim.note(e.node, "turns node %d away: %v", from.node.number, err)
		e.turnAway(from, err)
	default:
		e.node.sim.note(e.node, "cannot take note of node %d: %v", from.node.number, err)
		delete(e.doors, from)
	}
	d.waiting = nil
}

// turnAway tells the other end that it is not let in.
func (e *endpoint) turnAway(from *endpoint, why error) {
	net := e.node.sim.net
	if d, ok := net.transit(net.link(e.node.number, from.node.number), nil); ok {
		net.world.after(d, &from.node.process, func() {
			if from.up() {
				from.cfg.Memory.Refused(e.cfg.Node, why.Error())
			}
		})
	}
}

// lose takes a machine's disk away, and puts an empty one in its place. The judges
// remember what was on it.
func (n *node) lose() {
	n.disk.mem = vfs.NewMem()
	n.disk.flaws++ // who was met before will not get back in
	clear(n.knows)
	for i, r := range n.replicas {
		r.kept = nil
		j := n.sim.judges[i]
		was := j.ghost(n.id)
		j.ghosts[n.id] = &ghost{reached: map[raft.Term]raft.Index{}, lost: append(was.lost, was.saved)}
		j.checker.Forgot(n.id)
	}
}

// met reports whether everybody else remembers a node: who never met it believes
// whoever comes first.
func (s *run) met(n *node) bool {
	return !slices.ContainsFunc(s.nodes[:s.cfg.Voters], func(other *node) bool { return other != n && !other.knows[n.number] })
}
