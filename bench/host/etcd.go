package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
)

// etcd is groups on etcd's raft, which is a core and nothing else: what its
// documentation leaves to the user is here and in etcdreplica.go and etcdwire.go, as
// a careful one would write it. A replica has a goroutine and a log of its own, as in
// etcd; the nodes share one connection for each pair of them.
type etcd struct {
	groups [][replicas]*etcdReplica
	links  [replicas][replicas]*etcdLink // from one node to another
	all    sync.WaitGroup                // readers, replicas and the clock
	done   chan struct{}                 // closed when the clock is to stop
}

// etcdTick is how often the leader's heartbeat is due, and a tenth of an election
// timeout: as we and dragonboat have it.
const etcdTick = 50 * time.Millisecond

func openEtcd(dir string, groups int) (cluster, error) {
	c := &etcd{groups: make([][replicas]*etcdReplica, groups), done: make(chan struct{})}
	if err := c.open(dir); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *etcd) open(dir string) error {
	if err := c.connect(); err != nil {
		return err
	}
	for g := range c.groups {
		for i := range replicas {
			r, err := newEtcdReplica(filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(g)), uint64(i+1), uint32(g), &c.links[i])
			if err != nil {
				return err
			}
			c.groups[g][i] = r
		}
	}
	for i := range replicas {
		for _, link := range c.links[i] {
			if link != nil {
				c.all.Go(func() {
					link.read(func(group uint32, in etcdInput) { c.groups[group][i].inbox.put(in) })
				})
			}
		}
	}
	c.all.Go(c.tick)
	return nil
}

// connect makes one connection for each pair of nodes, which both write to.
func (c *etcd) connect() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // each connection is accepted before the next is made
	for i := range replicas {
		for j := range i {
			one, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			c.links[i][j] = &etcdLink{conn: one}
			other, err := l.Accept()
			if err != nil {
				return err
			}
			c.links[j][i] = &etcdLink{conn: other}
		}
	}
	return nil
}

// tick tells all replicas that time has passed.
func (c *etcd) tick() {
	ticker := time.NewTicker(etcdTick)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		for _, g := range c.groups {
			for _, r := range g {
				r.inbox.put(etcdInput{ticks: 1})
			}
		}
	}
}

func (c *etcd) start(group, node int) error {
	g := &c.groups[group]
	for _, r := range g {
		c.all.Go(r.run)
	}
	want := uint64(node + 1)
	g[node].inbox.put(etcdInput{orders: []func(*raft.RawNode){func(core *raft.RawNode) {
		_ = core.Campaign() // whoever has been elected meanwhile hands over below
	}}})
	return until("lead a group of etcd's", func() (bool, error) {
		for i, r := range g {
			if i != node && r.leads.Load() {
				r.inbox.put(etcdInput{orders: []func(*raft.RawNode){func(core *raft.RawNode) { core.TransferLeader(want) }}})
			}
		}
		return g[node].leads.Load(), nil
	})
}

func (c *etcd) propose(group, node int, command []byte) error {
	p := etcdProposal{command: command, done: make(chan error, 1)}
	c.groups[group][node].inbox.put(etcdInput{proposals: []etcdProposal{p}})
	return <-p.done
}

func (c *etcd) close() (err error) {
	close(c.done)
	for _, g := range c.groups {
		for _, r := range g {
			if r != nil {
				r.inbox.close()
			}
		}
	}
	for _, links := range c.links {
		for _, link := range links {
			if link != nil {
				err = errors.Join(err, link.conn.Close())
			}
		}
	}
	c.all.Wait()
	for _, g := range c.groups {
		for _, r := range g {
			if r != nil {
				err = errors.Join(err, r.log.file.Close())
			}
		}
	}
	return err
}
