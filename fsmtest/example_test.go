package fsmtest_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
)

// total is a sum of steps. A copy of it no longer changes, so that it is a view.
type total struct {
	sum     int
	forgets bool // what it is given to restore
}

func (t *total) Apply(batch []quorate.Command) error {
	for i := range batch {
		t.sum += int(batch[i].Data[0])
		batch[i].Result = t.sum
	}
	return nil
}

func (t *total) Snapshot() (quorate.View, error) { return *t, nil }
func (t total) Close() error                     { return nil }
func (t total) WriteTo(w io.Writer) (int64, error) {
	n, err := fmt.Fprint(w, t.sum)
	return int64(n), err
}

func (t *total) Restore(r io.Reader) error {
	if t.forgets {
		return nil
	}
	_, err := fmt.Fscan(r, &t.sum)
	return err
}

// In a test of your own: fsmtest.Test(t, config).
func ExampleCheck() {
	config := fsmtest.Config{
		New:     func() quorate.StateMachine { return &total{} },
		Command: func(rng *rand.Rand) []byte { return []byte{byte(rng.IntN(100))} },
		Pause:   time.Millisecond,
	}
	fmt.Println("it keeps its promises:", fsmtest.Check(config) == nil)
	config.New = func() quorate.StateMachine { return &total{forgets: true} }
	fmt.Println("it keeps its promises:", fsmtest.Check(config) == nil)
	// Output:
	// it keeps its promises: true
	// it keeps its promises: false
}
