package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Duration is a time span that a plan spells as people do: "1.5s".
type Duration time.Duration

// D returns it as the standard library's.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.D().String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	span, err := time.ParseDuration(string(text))
	*d = Duration(span)
	return err
}

// Options are what a run begins with. Draw makes them from a seed.
type Options struct {
	Seed   uint64   `json:"seed"`
	Length Duration `json:"length"` // of the first phase, the one with faults

	Voters int `json:"voters"` // who begin the group
	Spares int `json:"spares"` // nodes that wait to be invited

	Groups int `json:"groups,omitempty"` // on each node; zero: one
	Busy   int `json:"busy,omitempty"`   // how many of them, from the first on, clients use; zero: all

	Heartbeat       Duration `json:"heartbeat"`
	Election        Duration `json:"election"`
	SnapshotEntries uint64   `json:"snapshot_entries"`
	SegmentBytes    int64    `json:"segment_bytes"`
	LogBytes        int64    `json:"log_bytes,omitempty"` // of the logs of all groups, in the memory of each node; zero: as a host has it
	Lease           bool     `json:"lease,omitempty"`
	Sleep           bool     `json:"sleep,omitempty"`   // groups that have nothing to do sleep
	Durable         bool     `json:"durable,omitempty"` // the state machine keeps its state itself

	DiskQuick Duration `json:"disk_quick"` // a sync takes between this
	DiskSlow  Duration `json:"disk_slow"`  // and this

	Clients      int     `json:"clients"`
	Keys         int     `json:"keys"`
	Transactions float64 `json:"transactions,omitempty"` // what share of the calls are, on two keys; of stores that have them
	Watchers     int     `json:"watchers,omitempty"`     // of stores that can be watched
	Guests
	Think   Duration `json:"think"`   // between two calls of a client, on average
	Timeout Duration `json:"timeout"` // of a call

	Weather Weather `json:"weather"`
}

// Guests are clients of kinds that the store knows (see [Frequented]), in each group
// that clients use. Of stores that have none there are none.
type Guests struct {
	Tenants int   `json:"tenants,omitempty"` // who have leases
	Users   int   `json:"users,omitempty"`   // who have rights, or not; besides one who grants them
	Quota   int64 `json:"quota,omitempty"`   // in bytes; zero: nobody sets one
}

// Weather is how the network treats frames.
type Weather struct {
	Least   Duration `json:"least"` // how long a frame is under way
	Most    Duration `json:"most"`
	Drop    float64  `json:"drop,omitempty"`    // probability of being lost
	Double  float64  `json:"double,omitempty"`  // of arriving twice
	Reorder float64  `json:"reorder,omitempty"` // of not waiting for those before it
	Garble  float64  `json:"garble,omitempty"`  // of arriving with a flipped bit
	Break   float64  `json:"break,omitempty"`   // of a stream, at each of its pieces, to break off
}

// Action is one thing that is done to the cluster, and undone after a while.
type Action struct {
	At     Duration `json:"at"`
	Do     string   `json:"do"`
	Nodes  []int    `json:"nodes,omitempty"`  // to whom; numbers from 1
	Leader bool     `json:"leader,omitempty"` // rather to who leads then, if anybody does
	For    Duration `json:"for,omitempty"`
	Keep   string   `json:"keep,omitempty"`   // crash: what is left of what was not synced
	Op     string   `json:"op,omitempty"`     // fail, fuse: the operation of the disk; flip: the kind of file
	OneWay bool     `json:"oneway,omitempty"` // cut
	Amount float64  `json:"amount,omitempty"` // clock: its rate; fuse: after so many waits
	Pick   uint64   `json:"pick,omitempty"`   // whatever else is drawn
}

func (a Action) String() string {
	text, err := json.Marshal(a)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Plan is a whole run: who takes part, and what goes wrong when. The same plan
// leads to the same run.
type Plan struct {
	Options
	Actions []Action
}

// Encode writes the plan as a script: a line of options, then a line for each
// action. Lines that begin with # are comments.
func (p *Plan) Encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	_ = e.Encode(p.Options) // into memory, of plain fields
	for i := range p.Actions {
		_ = e.Encode(p.Actions[i])
	}
	return b.Bytes()
}

// Decode reads a script.
func Decode(script []byte) (*Plan, error) {
	p := &Plan{}
	lines := bufio.NewScanner(bytes.NewReader(script))
	lines.Buffer(nil, 1<<20)
	for n, first := 1, true; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var err error
		if first {
			err, first = d.Decode(&p.Options), false
		} else {
			var a Action
			err = d.Decode(&a)
			p.Actions = append(p.Actions, a)
		}
		if err != nil {
			return nil, fmt.Errorf("sim: line %d of the script: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("sim: the script cannot be read: %w", err)
	}
	return p, p.check()
}

// What a simulated cluster is bounded by.
const (
	maxNodes    = 32
	maxGroups   = 64
	maxWatchers = 64
	maxGuests   = 64
)

func (p *Plan) check() error {
	nodes := p.Voters + p.Spares
	switch {
	case p.Voters < 1 || nodes > maxNodes || p.Spares < 0:
		return fmt.Errorf("sim: %d voters and %d spare nodes: there must be a voter, and %d nodes at most", p.Voters, p.Spares, maxNodes)
	case p.Busy < 0 || p.Busy > max(1, p.Groups):
		return fmt.Errorf("sim: clients use %d of %d groups: there are not so many", p.Busy, max(1, p.Groups))
	case p.Groups < 0 || p.Groups > maxGroups:
		return fmt.Errorf("sim: %d groups: there can be %d at most", p.Groups, maxGroups)
	case p.Length <= 0 || p.Heartbeat.D() < 5*time.Millisecond || p.Election < 2*p.Heartbeat:
		return fmt.Errorf("sim: length %v, heartbeat %v, election %v: the first must be positive, the second 5ms or more, the third at least twice that",
			p.Length.D(), p.Heartbeat.D(), p.Election.D())
	case p.LogBytes < 0:
		return fmt.Errorf("sim: %d bytes for all logs: there are some, or as many as a host has by default", p.LogBytes)
	case p.Watchers < 0 || p.Watchers > maxWatchers:
		return fmt.Errorf("sim: %d watchers: there can be %d at most", p.Watchers, maxWatchers)
	case p.Tenants < 0 || p.Users < 0 || p.Quota < 0 || p.Tenants+p.Users > maxGuests:
		return fmt.Errorf("sim: %d tenants, %d users, a quota of %d bytes: there can be %d guests at most, and nothing below zero", p.Tenants, p.Users, p.Quota, maxGuests)
	case p.Clients < 0 || p.Keys < 1 || p.Think <= 0 || p.Timeout <= 0:
		return fmt.Errorf("sim: %d clients, %d keys, think %v, timeout %v: too little to do anything", p.Clients, p.Keys, p.Think.D(), p.Timeout.D())
	}
	for _, a := range p.Actions {
		if _, known := actions[a.Do]; !known {
			return fmt.Errorf("sim: there is no action %q", a.Do)
		}
		if len(a.Nodes) == 0 || slices.Max(a.Nodes) > nodes || slices.Min(a.Nodes) < 1 {
			return fmt.Errorf("sim: %v: nodes are numbered from 1 to %d", a, nodes)
		}
	}
	return nil
}

// Limits bound what Draw may draw. The zero value bounds nothing.
type Limits struct {
	Nodes  int           // voters in the beginning; zero: drawn from 1 to 7
	Length time.Duration // of the first phase; zero: 6 s
	Faults []string      // kinds of actions; nil: any; empty: none
}

// Draw makes a plan from a seed: how large the cluster is, how it is set up, and
// which kinds of faults it meets. Not every run meets all of them: a fault that
// always happens hides what happens without it.
func Draw(seed uint64, limits Limits) *Plan {
	rng := rand.New(rand.NewPCG(seed, 0x51e7e))
	o := Options{
		Seed: seed, Length: Duration(limits.Length), Voters: limits.Nodes,
		Clients: 2 + rng.IntN(5), Keys: 1 + rng.IntN(8),
		Think:   Duration(between(rng, 10*time.Millisecond, 150*time.Millisecond)),
		Timeout: Duration(between(rng, 200*time.Millisecond, 3*time.Second)),
		Lease:   rng.IntN(4) == 0, Durable: rng.IntN(3) == 0,
	}
	if drawn := []int{1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7}[rng.IntN(12)]; o.Voters == 0 {
		o.Voters = drawn
	}
	if o.Length == 0 {
		o.Length = Duration(6 * time.Second)
	}
	o.Groups = []int{0, 0, 0, 2, 5}[rng.IntN(5)]
	o.Spares = []int{0, 0, 1, 2, 3}[rng.IntN(5)]
	o.Heartbeat = Duration([]time.Duration{10, 20, 50, 50, 100}[rng.IntN(5)] * time.Millisecond)
	o.Election = o.Heartbeat * Duration(3+rng.IntN(8))
	o.SnapshotEntries = []uint64{2, 5, 10, 20, 100, 10_000}[rng.IntN(6)]
	o.SegmentBytes = []int64{1 << 10, 4 << 10, 16 << 10, 1 << 20}[rng.IntN(4)]
	o.DiskQuick = Duration(between(rng, 20*time.Microsecond, 500*time.Microsecond))
	o.DiskSlow = o.DiskQuick + Duration(rng.ExpFloat64()*float64(2*time.Millisecond))
	if rng.IntN(2) == 0 {
		o.Transactions = math.Round(rng.Float64()*50) / 100
	}
	o.Sleep = rand.New(rand.NewPCG(seed, 0x51ee9)).IntN(2) == 0 // for itself, so that all else is as it was
	o.Watchers = []int{0, 0, 1, 2, 3}[rand.New(rand.NewPCG(seed, 0x3a7c4)).IntN(5)]
	o.drawScarce(rand.New(rand.NewPCG(seed, 0x1065)))
	o.Guests = drawGuests(rand.New(rand.NewPCG(seed, 0x94e57)))
	bad := limits.Faults == nil || slices.Contains(limits.Faults, "weather")
	o.Weather = drawWeather(rng, bad)
	if breaks := rand.New(rand.NewPCG(seed, 0xb4ea6)); bad && breaks.IntN(2) == 0 {
		o.Weather.Break = math.Round(breaks.Float64()*40) / 100
	}
	if o.Groups > 2 && rng.IntN(2) == 0 {
		o.drawQuiet(rng)
	}
	p := &Plan{Options: o}
	p.drawActions(rng, limits.Faults)
	p.drawLoss(rand.New(rand.NewPCG(seed, 0x3199e)), limits.Faults)
	return p
}

// drawLoss lets a node lose its disk, in few of the runs, unless there are to be such.
// It is for itself, so that all else is as it was. Who will not be let in again is no
// spare to replace others with.
func (p *Plan) drawLoss(rng *rand.Rand, only []string) {
	wanted := only == nil && rng.IntN(6) == 0 || slices.Contains(only, lossOfDisk)
	if !wanted || p.Voters < 3 || slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Do == "member" }) {
		return
	}
	a := Action{
		At: Duration(between(rng, p.Length.D()/8, p.Length.D()).Round(time.Microsecond)), Do: lossOfDisk,
		For: Duration(between(rng, time.Millisecond, 3*p.Election.D()).Round(time.Microsecond)),
	}
	drawWipe(p, &a, rng)
	a.Nodes[0]++
	p.Actions = append(p.Actions, a)
}

const lossOfDisk = "wipe"

// drawGuests draws them in half of the runs.
func drawGuests(rng *rand.Rand) (g Guests) {
	if rng.IntN(2) == 0 {
		return g
	}
	if rng.IntN(3) > 0 {
		g.Tenants = 1 + rng.IntN(3)
	}
	if rng.IntN(2) == 0 {
		g.Users = 1 + rng.IntN(3)
	}
	if rng.IntN(2) == 0 {
		g.Quota = 1000 + rng.Int64N(9000)
	}
	return g
}

// drawScarce bounds the memory of all logs, in a fifth of the runs. In half of these, many
// clients press them, and nothing but the bound lets go of what was applied.
func (o *Options) drawScarce(rng *rand.Rand) {
	if rng.IntN(5) > 0 {
		return
	}
	o.LogBytes = 1 << (11 + rng.IntN(6))
	if rng.IntN(2) == 0 {
		o.Clients, o.Think = 4+rng.IntN(5), Duration(between(rng, 2*time.Millisecond, 10*time.Millisecond))
		o.SnapshotEntries = 10_000
	}
}

// drawQuiet lets clients use one group only, and a log of short segments of which
// that one soon needs none any more: what the quiet ones still need of them must move.
func (o *Options) drawQuiet(rng *rand.Rand) {
	o.Busy, o.Clients, o.Think = 1, 4+rng.IntN(4), Duration(between(rng, 5*time.Millisecond, 30*time.Millisecond))
	o.SegmentBytes = []int64{1 << 10, 2 << 10, 4 << 10}[rng.IntN(3)]
	o.SnapshotEntries = []uint64{10, 20, 40}[rng.IntN(3)]
}

func drawWeather(rng *rand.Rand, bad bool) Weather {
	w := Weather{Least: Duration(between(rng, 100*time.Microsecond, 2*time.Millisecond))}
	w.Most = w.Least + Duration(rng.ExpFloat64()*float64(4*time.Millisecond))
	if !bad {
		return w
	}
	if rng.IntN(2) == 0 {
		w.Drop = rng.Float64() * 0.3
	}
	if rng.IntN(2) == 0 {
		w.Double = rng.Float64() * 0.5
	}
	if rng.IntN(2) == 0 {
		w.Reorder = rng.Float64() * 0.5
	}
	if rng.IntN(4) == 0 {
		w.Garble = rng.Float64() * 0.05
	}
	if rng.IntN(8) == 0 {
		w.Most = Duration(between(rng, 50*time.Millisecond, 2*time.Second))
	}
	return w
}

// drawActions draws which kinds of actions there will be, and then each of them.
func (p *Plan) drawActions(rng *rand.Rand, only []string) {
	var kinds []string
	for _, kind := range kindsInOrder {
		if kind == lossOfDisk {
			continue
		}
		allowed := only == nil || slices.Contains(only, kind)
		if drawn := rng.IntN(2) == 0; allowed && (drawn || only != nil) {
			kinds = append(kinds, kind)
		}
	}
	if slices.Contains(kinds, "flip") && p.Voters < 3 || rng.IntN(4) > 0 && only == nil {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "flip" })
	}
	if slices.Contains(kinds, "flip") { // who is beyond repair is no spare to replace others with
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "member" })
	}
	if len(kinds) == 0 {
		return
	}
	pause := time.Duration(float64(100*time.Millisecond) * (1 + 15*rng.Float64()))
	for at := time.Duration(0); ; {
		at += time.Duration(rng.ExpFloat64() * float64(pause))
		if at >= p.Length.D() {
			return
		}
		a := Action{At: Duration(at.Round(time.Microsecond)), Do: kinds[rng.IntN(len(kinds))], Pick: rng.Uint64() >> 12}
		a.For = Duration(between(rng, time.Millisecond, 3*p.Election.D()).Round(time.Microsecond))
		if rng.IntN(5) == 0 {
			a.For = Duration(between(rng, 0, 4*time.Second).Round(time.Microsecond))
		}
		a.Nodes = rng.Perm(p.Voters + p.Spares)[:1]
		actions[a.Do].draw(p, &a, rng)
		a.Leader = (len(a.Nodes) == 1 && a.Do != "flip" || a.Do == "cut") && rng.IntN(3) == 0
		for i := range a.Nodes {
			a.Nodes[i]++
		}
		p.Actions = append(p.Actions, a)
	}
}
