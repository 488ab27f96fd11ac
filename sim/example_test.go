package sim_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/sim"
)

// votes is a user's state machine: it counts votes for names. The result of a vote
// names who is ahead; careless asks the map for it, whose order is another on every
// node.
type votes struct {
	careless bool
	count    map[string]uint64
}

func (v *votes) Apply(batch []quorate.Command) error {
	for i := range batch {
		v.count[string(batch[i].Data)]++
		batch[i].Result = v.ahead()
	}
	return nil
}

func (v *votes) ahead() (name string) {
	for other, n := range v.count {
		if n > v.count[name] || n == v.count[name] && other < name && !v.careless {
			name = other
		}
	}
	return name
}

func (v *votes) Snapshot() (quorate.View, error) {
	var b strings.Builder
	for _, name := range candidates {
		_ = binary.Write(&b, binary.LittleEndian, v.count[name])
	}
	return ballots{strings.NewReader(b.String())}, nil
}

type ballots struct{ *strings.Reader }

func (ballots) Close() error { return nil }

func (v *votes) Restore(r io.Reader) error {
	v.count = map[string]uint64{}
	for _, name := range candidates {
		var n uint64
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return err
		}
		if n > 0 {
			v.count[name] = n
		}
	}
	return nil
}

var candidates = []string{"ada", "bob", "cyd"}

// Put your own state machine through simulated clusters: name the commands that
// there are, and how an empty machine is made.
func ExampleRun() {
	var t failures // in a test: its own t
	config := sim.Config{
		Command: func(rng *rand.Rand) []byte { return []byte(candidates[rng.IntN(len(candidates))]) },
		Seeds:   5,
	}
	sim.Run(t, config, func() quorate.StateMachine { return &votes{count: map[string]uint64{}} })
	fmt.Println("the careful one passes")
	sim.Run(t, config, func() quorate.StateMachine { return &votes{count: map[string]uint64{}, careless: true} })
	// Output:
	// the careful one passes
	// the careless one fails
}

// failures prints that a test has failed, since an example has none.
type failures struct{}

func (failures) Helper()               {}
func (failures) Fatalf(string, ...any) { fmt.Println("the careless one fails") }
