package load

import (
	"fmt"
	"runtime"
)

// Work is a kind of thing to do.
type Work string

// The kinds of work, and what one operation of each is.
const (
	Replicate    Work = "replicate"     // one command, from proposal to applied on all three
	TickFollower Work = "tick follower" // one tick of a follower, nothing due
	TickLeader   Work = "tick leader"   // one tick of a leader, which sends a heartbeat to each follower
	TickGroup    Work = "tick group"    // one tick of all three, the heartbeats answered
	Elect        Work = "elect"         // from a fresh start to a leader whose first entry all have applied
	Weigh        Work = "weigh"         // one idle replica with a compacted log: bytes only
)

// Case is a kind of work and its numbers.
type Case struct {
	Work     Work
	InFlight int // Replicate: proposals at a time
	Size     int // Replicate: bytes of a command
}

func (c Case) String() string {
	if c.Work == Replicate {
		return fmt.Sprintf("%d B, %d in flight", c.Size, c.InFlight)
	}
	return string(c.Work)
}

// Cases are all that is measured.
func Cases() (cases []Case) {
	for _, inFlight := range []int{1, 16, 256} {
		for _, size := range []int{16, 128, 1024} {
			cases = append(cases, Case{Replicate, inFlight, size})
		}
	}
	for _, work := range []Work{TickFollower, TickLeader, TickGroup, Elect, Weigh} {
		cases = append(cases, Case{Work: work})
	}
	return cases
}

// Time-outs of an election, in ticks: what both etcd and we have by default, and
// one that no measurement lives to see, so that a silent group stays as it is.
const (
	usual = 10
	never = 1 << 30
)

// Many groups are made at once where one is too little to measure.
const many = 300

// Run does the work of a case on clusters with the given election time-out, in
// ticks, and returns what one operation cost.
func Run[M any](c Case, cluster func(electionTicks int) *Cluster[M]) Cost {
	switch c.Work {
	case Elect:
		return elections(cluster)
	case Weigh:
		return weight(cluster)
	}
	group := cluster(never)
	group.lead()
	switch c.Work {
	case TickFollower:
		return sustained(10_000, func() { group.tickOne(1) })
	case TickLeader:
		return sustained(10_000, func() { group.tickOne(0) })
	case TickGroup:
		return sustained(1_000, group.tick)
	default:
		cost := sustained(1, func() { group.replicate(compactEvery, c.InFlight, c.Size) }).divided(compactEvery)
		// The payload is the client's, whichever core carries it.
		cost.Allocs--
		cost.Bytes -= float64(c.Size)
		return cost
	}
}

func elections[M any](cluster func(int) *Cluster[M]) Cost {
	groups := make([]*Cluster[M], many)
	for i := range groups {
		groups[i] = cluster(usual)
	}
	return measure(func() int {
		for _, group := range groups {
			group.elect()
		}
		return len(groups)
	})
}

// weight is what an idle replica keeps in memory, after having led or followed
// and carried some commands.
func weight[M any](cluster func(int) *Cluster[M]) Cost {
	groups := make([]*Cluster[M], many)
	before := heap()
	for i := range groups {
		group := cluster(usual)
		group.lead()
		group.replicate(100, 16, 128)
		for range 2 * usual {
			group.tick()
		}
		group.compact(0)
		group.strip()
		groups[i] = group
	}
	after := heap()
	runtime.KeepAlive(groups)
	return Cost{Bytes: float64(after-before) / (many * replicas)}
}
