package raft

import "errors"

// Config is what a core needs to know of its surroundings. Zero numbers mean
// the defaults that stand beside them.
type Config struct {
	ID   NodeID
	Seed uint64 // of the election timeouts; give every node and every start its own

	ElectionTicks  int // ticks without a leader before a campaign, at least: 10
	ElectionSpread int // drawn below this many ticks more: ElectionTicks; negative: nothing is drawn
	HeartbeatTicks int // ticks between heartbeats: 1

	// Lease lets a leader answer reads without a round of heartbeats while it
	// cannot have been deposed (RD3), so long as no clock runs more than MaxDrift
	// percent too fast or too slow: 10. All nodes must agree on it.
	Lease    bool
	MaxDrift int

	// SleepTicks lets a group sleep that has had nothing to do for so many ticks:
	// it needs no ticks then. The driver must use Silent and Alive. Zero: never.
	SleepTicks int

	MaxMessageBytes     uint64 // entries in one AppendEntries, as far as one entry is not larger: 1 MiB
	MaxInFlight         int    // AppendEntries on their way to one follower: 64
	MaxInFlightBytes    uint64 // and the bytes in them: 16 MiB
	MaxUncommittedBytes uint64 // proposals that wait for a majority: 64 MiB

	// Trace makes Effects tell which rules were followed.
	Trace bool

	// Applied is what the state machine holds already, zero if it starts empty
	// or from the snapshot at the log's base.
	Applied Index
}

func (c Config) withDefaults() (Config, error) {
	if c.ID == 0 {
		return c, errors.New("raft: Config.ID must not be zero")
	}
	orInt(&c.ElectionTicks, 10)
	orInt(&c.ElectionSpread, c.ElectionTicks)
	orInt(&c.MaxDrift, 10)
	orInt(&c.HeartbeatTicks, 1)
	orInt(&c.MaxInFlight, 64)
	orUint(&c.MaxMessageBytes, 1<<20)
	orUint(&c.MaxInFlightBytes, 16<<20)
	orUint(&c.MaxUncommittedBytes, 64<<20)
	switch {
	case c.ElectionTicks < 0 || c.HeartbeatTicks < 0 || c.MaxInFlight < 0 || c.SleepTicks < 0:
		return c, errors.New("raft: numbers in Config must not be negative")
	case c.MaxDrift < 0 || c.MaxDrift >= 50:
		return c, errors.New("raft: Config.MaxDrift must be a percentage from 1 to 49")
	case c.HeartbeatTicks >= c.ElectionTicks:
		// REQ-T2: followers would campaign between two heartbeats.
		return c, errors.New("raft: Config.HeartbeatTicks must be less than ElectionTicks")
	}
	return c, nil
}

// leaseTicks is how long a leader may rely on a majority that has answered (RD3). A
// follower whose clock is fast lets its promise end early, and a leader whose
// clock is slow notices late; one tick more is lost to counting in whole ones.
func (c *Config) leaseTicks() uint64 {
	return uint64(max(0, c.ElectionTicks*(100-c.MaxDrift)/(100+c.MaxDrift)-1))
}

func orInt(v *int, otherwise int) {
	if *v == 0 {
		*v = otherwise
	}
}

func orUint(v *uint64, otherwise uint64) {
	if *v == 0 {
		*v = otherwise
	}
}

// random is a generator (splitmix64) small enough to be part of the state: the
// only chance in the core, and repeatable from its seed (F2).
type random uint64

func (r *random) below(n int) int {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}
