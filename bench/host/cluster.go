package main

import (
	"fmt"
	"time"
)

// replicas is how many nodes a cluster has, each with a replica of every group.
const replicas = 3

// patience bounds whatever is waited for: one command, or a leader. Some nodes say
// nothing of a command that they drop while leaders change; hence it is made again
// after the time of one attempt.
const (
	patience = time.Minute
	attempt  = 5 * time.Second
)

// cluster is three nodes of one contestant in this process, talking over loopback
// TCP and keeping their logs in one directory. Groups are numbered from 0.
type cluster interface {
	// start starts a group on all nodes and returns once the given one leads it. It
	// is called by several goroutines, for different groups.
	start(group, node int) error

	// propose returns once the state machine of the given node has carried the
	// command out. An error of a node that does not lead is no surprise.
	propose(group, node int, command []byte) error

	close() error
}

// contestant is a way to run a cluster.
type contestant struct {
	name string
	open func(dir string, groups int) (cluster, error)
	idle func(dir string, groups int) (cluster, error) // for groups that have nothing to do; nil: the same

	lasting func(dir string, groups int) (durable, error) // nil: it takes no part in recovery
}

// Names of contestants, as the tables say them.
const (
	nameOurs       = "quorate"
	nameDragonboat = "dragonboat"
	nameHashicorp  = "hashicorp"
	nameEtcd       = "etcd"
)

// contestants are ours and the peers.
var contestants = []contestant{
	{nameOurs, openOurs, openMutable, openLastingOurs},
	{nameDragonboat, openDragonboat, nil, openLastingDragonboat},
	{nameHashicorp, openHashicorp, nil, nil},
	{nameEtcd, openEtcd, nil, nil},
}

func find(name string) (contestant, error) {
	for _, c := range contestants {
		if c.name == name {
			return c, nil
		}
	}
	return contestant{}, fmt.Errorf("there is no contestant %q; see -help", name)
}

// until asks every few milliseconds whether something has come true.
func until(what string, true func() (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		ok, err := true()
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not after %v (last error: %w)", what, patience, err)
		}
	}
}
