package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
	"github.com/quorate-db/quorate/raft"
)

// journal keeps what it is given, and answers how much it has.
type journal struct{ words []string }

func (j *journal) Apply(batch []quorate.Command) error {
	for i := range batch {
		j.words = append(j.words, string(batch[i].Data))
		batch[i].Result = fmt.Append(nil, len(j.words))
	}
	return nil
}

type page struct{ *strings.Reader }

func (page) Close() error { return nil }

func (j *journal) Snapshot() (quorate.View, error) {
	return page{strings.NewReader(strings.Join(j.words, " "))}, nil
}

func (j *journal) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		j.words = strings.Fields(string(b))
	}
	return err
}

func (j *journal) String() string { return strings.Join(j.words, " ") }

func wrap(t *testing.T, sessions int) (*machine, *journal) {
	t.Helper()
	j := &journal{}
	m, err := Machine(Config{Sessions: sessions}, j)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*machine), j
}

// apply gives a machine commands as one batch, from an index on, and returns what it
// answers, in words.
func apply(t *testing.T, m *machine, from raft.Index, commands ...[]byte) (said []string) {
	t.Helper()
	var batch []quorate.Command
	for i, c := range commands {
		batch = append(batch, quorate.Command{Index: from + raft.Index(i), Data: c})
	}
	if err := m.Apply(batch); err != nil {
		t.Fatal(err)
	}
	for _, c := range batch {
		switch r := c.Result.(type) {
		case answer:
			said = append(said, string(r.data))
		case []byte:
			said = append(said, "plain "+string(r))
		case refusal:
			said = append(said, r.Error())
		default:
			said = append(said, fmt.Sprint(r))
		}
	}
	return said
}

func calls(id ID, number, first uint64, data string) []byte {
	return command{kind: call, session: id, number: number, first: first, data: []byte(data)}.encode()
}

// CL1: a command with a number that was seen is not carried out again, whether it
// stands in the same batch, in a later one, or behind a snapshot.
func TestARepeatedCommandCountsOnce(t *testing.T) {
	first, _ := wrap(t, 2)
	open := command{kind: open}.encode()
	got := apply(t, first, 5, open, calls(5, 1, 1, "a"), calls(5, 1, 1, "a"), Plain([]byte("p")), calls(5, 2, 1, "b"))
	got = append(got, apply(t, first, 10, calls(5, 2, 1, "b"), calls(5, 1, 1, "a"))...)
	v, err := first.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := v.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	m, j := wrap(t, 2)
	if err := m.Restore(&file); err != nil {
		t.Fatal(err)
	}
	got = append(got, apply(t, m, 12, calls(5, 1, 1, "a"), calls(5, 3, 3, "c"), calls(5, 2, 1, "late"))...)
	const want = "[5 1 1 plain 2 3 3 1 1 4 session: the command was given up, and comes too late]"
	if fmt.Sprint(got) != want || j.String() != "a p b c" {
		t.Errorf("the answers are\n%v\nand the journal says %q", got, j)
	}
	if n := len(m.table.use(5).answers); n != 1 {
		t.Errorf("%d answers are kept of which the client has all but one", n)
	}
}

func TestASessionEnds(t *testing.T) {
	m, j := wrap(t, 2)
	open := command{kind: open}.encode()
	apply(t, m, 1, open, open, calls(1, 1, 1, "one"), open) // 2 was unused for longest
	got := apply(t, m, 7, calls(2, 1, 1, "two"), calls(1, 2, 1, "more"), command{kind: closing, session: 1}.encode(), calls(1, 3, 1, "too late"))
	want := []string{ErrExpired.Error(), "2", "<nil>", ErrExpired.Error()}
	if fmt.Sprint(got) != fmt.Sprint(want) || j.String() != "one more" {
		t.Errorf("the answers are %q and the journal says %q", got, j)
	}
}

// What no client can have made is refused everywhere, and harms nothing.
func TestForeignCommands(t *testing.T) {
	m, j := wrap(t, 0)
	apply(t, m, 1, command{kind: open}.encode())
	for _, c := range [][]byte{
		nil, {9}, {byte(open), 1}, {byte(closing)}, {byte(closing), 1, 1}, {byte(call), 1}, {byte(call), 1, 0x80},
		calls(1, 1, 0, "x"), calls(1, 1, 2, "x"), calls(1, Window+1, 1, "x"),
	} {
		if got := apply(t, m, 2, c); got[0] != errForeign.Error() {
			t.Errorf("% x: %s", c, got)
		}
	}
	if got := apply(t, m, 3, calls(1, Window, 1, "x")); got[0] != "1" || j.String() != "x" {
		t.Errorf("then a good one: %s, %q", got, j)
	}
}

// A snapshot that breaks off, or is none, leaves what there was.
func TestABrokenSnapshotIsNotTaken(t *testing.T) {
	m, _ := wrap(t, 0)
	apply(t, m, 1, command{kind: open}.encode(), calls(1, 1, 1, "x"))
	whole := m.table.encode()
	for n := range whole {
		if err := m.Restore(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("%d bytes of %d are taken", n, len(whole))
		}
	}
	for _, bad := range [][]byte{{2}, {1, 1, 1, 1, Window + 1}, {1, 1, 1, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if err := m.Restore(bytes.NewReader(bad)); err == nil {
			t.Errorf("% x is taken", bad)
		}
	}
	if got := apply(t, m, 3, calls(1, 1, 1, "x")); got[0] != "1" {
		t.Errorf("the session is lost: %s", got)
	}
}

type durable struct{ journal }

func (*durable) Applied() raft.Index { return 0 }
func (*durable) Sync() error         { return nil }

func TestWhatCannotBeWrapped(t *testing.T) {
	if _, err := Machine(Config{}, &durable{}); err == nil {
		t.Error("a durable machine is wrapped")
	}
	m, err := Machine(Config{Encode: func(any) ([]byte, error) { return nil, errors.New("no bytes") }}, &journal{})
	if err != nil {
		t.Fatal(err)
	}
	batch := []quorate.Command{{Index: 1, Data: command{kind: open}.encode()}, {Index: 2, Data: calls(1, 1, 1, "x")}}
	if err := m.Apply(batch); err == nil || !strings.Contains(err.Error(), "no bytes") {
		t.Errorf("a result that cannot be kept: %v", err)
	}
}

func TestTheMachineKeepsItsPromises(t *testing.T) {
	command := func(rng *rand.Rand) []byte {
		id, first := ID(1+rng.IntN(12)), 1+rng.Uint64N(8)
		switch rng.IntN(8) {
		case 0:
			return command{kind: open}.encode()
		case 1:
			return command{kind: closing, session: id}.encode()
		case 2:
			return Plain([]byte("plain"))
		case 3:
			return []byte{byte(1 + rng.IntN(8)), byte(rng.IntN(256))} // of these the journal sees none
		}
		return calls(id, first+rng.Uint64N(4), first, "call")
	}
	synctest.Test(t, func(t *testing.T) {
		fsmtest.Test(t, fsmtest.Config{Command: command, New: func() quorate.StateMachine {
			m, err := Machine(Config{Sessions: 4}, &journal{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}})
	})
}
