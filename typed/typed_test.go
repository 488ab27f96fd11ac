package typed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/typed"
)

// payment moves money between accounts; account 0 is the world outside.
type payment struct{ From, To, Amount int }

var errNotCovered = errors.New("not covered")

// payments go through the log as JSON.
var payments = typed.Codec[payment]{
	Encode: func(p payment) ([]byte, error) {
		if p.Amount < 0 {
			return nil, errors.New("a payment of less than nothing")
		}
		return json.Marshal(p)
	},
	Decode: func(data []byte) (p payment, err error) { err = json.Unmarshal(data, &p); return p, err },
}

// bank answers a payment with nil or errNotCovered.
type bank struct{ accounts [4]int }

func (b *bank) Apply(batch []typed.Command[payment, error]) error {
	for i := range batch {
		p := batch[i].Command
		if p.From != 0 && b.accounts[p.From] < p.Amount {
			batch[i].Result = errNotCovered
			continue
		}
		b.accounts[p.From] -= p.Amount
		b.accounts[p.To] += p.Amount
	}
	return nil
}

type statement struct{ *strings.Reader }

func (statement) Close() error { return nil }

func (b *bank) Snapshot() (quorate.View, error) {
	return statement{strings.NewReader(fmt.Sprint(b.accounts[0], b.accounts[1], b.accounts[2], b.accounts[3]))}, nil
}

func (b *bank) Restore(r io.Reader) error {
	var a [4]int
	_, err := fmt.Fscan(r, &a[0], &a[1], &a[2], &a[3])
	if err == nil {
		b.accounts = a
	}
	return err
}

func TestCommandsAndResultsHaveTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return typed.Machine(payments, &bank{}) })
		group := typed.Group[payment, error]{Group: c.Group(c.Leader()), Codec: payments}
		for _, step := range []struct {
			payment
			want error
		}{
			{payment{0, 1, 100}, nil}, {payment{1, 2, 70}, nil}, {payment{1, 2, 70}, errNotCovered}, {payment{2, 1, 40}, nil}, {payment{1, 2, 70}, nil},
		} {
			if result, err := group.Propose(t.Context(), step.payment); result != step.want || err != nil {
				t.Errorf("%v: %v, %v, want %v", step.payment, result, err, step.want)
			}
		}
		if _, err := group.Propose(t.Context(), payment{1, 2, -5}); err == nil || !strings.Contains(err.Error(), "less than nothing") {
			t.Errorf("a command that cannot be encoded: %v", err)
		}
	})
}

func TestWhatCannotBeDecodedIsRefusedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return typed.Machine(payments, &bank{}) })
		newer := typed.Codec[payment]{Encode: func(payment) ([]byte, error) { return []byte("a later format"), nil }}
		group := typed.Group[payment, error]{Group: c.Group(1), Codec: newer}
		if result, err := group.Propose(t.Context(), payment{}); result != nil || !errors.Is(err, typed.ErrUndecodable) {
			t.Errorf("it was answered with %v, %v", result, err)
		}
		group.Codec = payments
		if _, err := group.Propose(t.Context(), payment{0, 1, 1}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		other := typed.Group[payment, string]{Group: c.Group(1), Codec: payments}
		if _, err := other.Propose(t.Context(), payment{0, 1, 1}); !errors.Is(err, quorate.ErrUnknownOutcome) || !strings.Contains(err.Error(), "same types") {
			t.Errorf("a group of other types: %v", err)
		}
	})
}

func TestATypedMachineKeepsItsPromises(t *testing.T) {
	command := func(rng *rand.Rand) []byte {
		if rng.IntN(10) == 0 {
			return []byte("nonsense")
		}
		data, _ := payments.Encode(payment{rng.IntN(4), rng.IntN(4), rng.IntN(100)}) // never less than nothing
		return data
	}
	synctest.Test(t, func(t *testing.T) {
		fsmtest.Test(t, fsmtest.Config{New: func() quorate.StateMachine { return typed.Machine(payments, &bank{}) }, Command: command})
	})
}

// ledger is a bank that knows how far it has come.
type ledger struct{ bank }

func (*ledger) Applied() raft.Index { return 7 }
func (*ledger) Sync() error         { return io.ErrShortWrite }

func TestADurableMachineStaysOne(t *testing.T) {
	d, durable := typed.Machine(payments, &ledger{}).(quorate.DurableStateMachine)
	if !durable || d.Applied() != 7 || d.Sync() != io.ErrShortWrite {
		t.Error("a machine that is durable is none any more")
	}
	if _, durable := typed.Machine(payments, &bank{}).(quorate.DurableStateMachine); durable {
		t.Error("a machine in memory has become durable")
	}
}
