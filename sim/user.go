package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
)

// Config is how a user's own state machine is put to the test. Only Command is
// needed.
type Config struct {
	// Command draws a command. It must use no other source of chance.
	Command func(*rand.Rand) []byte

	Seeds  int           // how many runs; 50 if zero
	First  uint64        // the first seed; 1 if zero
	Nodes  int           // voters in the beginning; zero: drawn from 1 to 7
	Length time.Duration // of the part of each run in which things go wrong, simulated; 6 s if zero
	Faults []string      // see Faults; nil: any; empty: none
}

// TB is what Run needs of a *testing.T, so that programs that simulate need not
// link package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Run puts a state machine through simulated clusters: its commands are proposed
// on any node while nodes crash, are cut off, fall behind, and are given snapshots.
// Whatever happens, two machines that have applied the same commands must be in
// the same state, which their snapshots show, and must have given the same results.
// A machine that asks the time, draws a number or depends on the order of a map
// fails, with the seed (Config.First repeats it), the smallest plan that was found to
// fail, and the command after which the difference was seen.
//
// The function is called for each start of each node and returns an empty machine.
// All methods are called in one goroutine.
func Run(t TB, cfg Config, machine func() quorate.StateMachine) {
	t.Helper()
	if cfg.Command == nil {
		t.Fatalf("sim: Config.Command is nil: say what commands there are")
		return
	}
	setup := Setup{Store: func(bool) Store { return &foreign{machine(), cfg.Command} }, Unjudged: true}
	for i := range cmp.Or(cfg.Seeds, 50) {
		seed := cmp.Or(cfg.First, 1) + uint64(i)
		r, err := Execute(Draw(seed, Limits{Nodes: cfg.Nodes, Length: cfg.Length, Faults: cfg.Faults}), setup)
		if err != nil {
			t.Fatalf("%v", err)
			return
		}
		if r.Err == nil {
			continue
		}
		small := Shrink(r, setup, 100)
		t.Fatalf("sim: seed %d: %v\nit fails again with Config.First %d and Seeds 1; the smallest plan found:\n%s", seed, small.Err, seed, small.Plan.Encode())
		return // where t is one that goes on
	}
}

// foreign is a machine of which nothing is known but what every machine can do.
type foreign struct {
	quorate.StateMachine
	draw func(*rand.Rand) []byte
}

// Open implements [Store]: there are no sessions.
func (f *foreign) Open() []byte       { return nil }
func (f *foreign) Session(any) uint64 { return 0 }

// Command implements [Store]. What the clients had in mind seeds what is drawn.
func (f *foreign) Command(_, _ uint64, o *linear.Operation) []byte {
	sum := crc64.Checksum([]byte(o.Key+"="+o.Value), sums)
	return f.draw(rand.New(rand.NewPCG(sum, uint64(o.Call))))
}

func (f *foreign) Answer(*linear.Operation, any) (linear.Outcome, uint64) { return linear.OK, 0 }
func (f *foreign) Get(string) (string, uint64, uint64, bool)              { return "", 0, 0, false }

// Hash implements [Store] by what a snapshot says.
func (f *foreign) Hash() uint64 {
	view, err := f.Snapshot()
	if err != nil {
		return 0
	}
	defer view.Close()
	h := crc64.New(sums)
	if _, err := view.WriteTo(h); err != nil {
		return 0
	}
	return h.Sum64()
}

// digest is a sum of a result, however it is represented.
func digest(result any) uint64 {
	switch r := result.(type) {
	case []byte:
		return crc64.Checksum(r, sums)
	case uint64:
		return crc64.Checksum(binary.LittleEndian.AppendUint64(nil, r), sums)
	case raft.Index:
		return digest(uint64(r))
	case answer:
		return digest(append(binary.LittleEndian.AppendUint64(nil, r.revision), r.outcome...))
	default:
		return crc64.Checksum(fmt.Appendf(nil, "%+v", r), sums)
	}
}
