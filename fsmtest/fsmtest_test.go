package fsmtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
)

// shelf holds words by their first letter, the last one of each. Its flaw, if it
// has one, breaks one promise of a state machine.
type shelf struct {
	flaw  string
	State shelfState
}

type shelfState struct {
	Words map[string]string
	Count int // of commands
}

func newShelf(flaw string) func() quorate.StateMachine {
	return func() quorate.StateMachine {
		return &shelf{flaw: flaw, State: shelfState{Words: map[string]string{}}}
	}
}

func (s *shelf) Apply(batch []quorate.Command) error {
	for i := range batch {
		word := string(batch[i].Data)
		if word == "" {
			batch[i].Result = "refused"
			continue
		}
		s.State.Words[word[:1]] = word
		s.State.Count++
		batch[i].Result = fmt.Sprintf("%d words, %d commands", len(s.State.Words), s.State.Count)
		switch s.flaw {
		case "map order":
			for _, other := range s.State.Words {
				batch[i].Result = other
				break
			}
		case "clock":
			s.State.Words["now"] = fmt.Sprint(time.Now().Unix())
		case "batches":
			if i == len(batch)-1 {
				s.State.Count++
			}
		case "changed data":
			batch[i].Data[0] = '!'
		case "kept data":
			batch[i].Result = batch[i].Data
		case "error":
			return io.ErrShortBuffer
		}
	}
	return nil
}

type text struct {
	*strings.Reader
	flaw string
}

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := t.Reader.WriteTo(w)
	switch t.flaw {
	case "swallowed error":
		return t.Size(), nil
	case "wrong size":
		return n + 1, err
	}
	return n, err
}

func (text) Close() error { return nil }

// live is a view that has copied nothing.
type live struct{ *shelf }

func (l live) WriteTo(w io.Writer) (int64, error) { return l.saved().WriteTo(w) }
func (live) Close() error                         { return nil }

func (s *shelf) saved() text {
	state := s.State
	if s.flaw == "lost field" {
		state.Count = 0
	}
	data, err := json.Marshal(state)
	if err != nil {
		panic(err) // of strings and a number
	}
	return text{strings.NewReader(string(data)), s.flaw}
}

func (s *shelf) Snapshot() (quorate.View, error) {
	if s.flaw == "shared view" {
		return live{s}, nil
	}
	return s.saved(), nil
}

func (s *shelf) Restore(r io.Reader) error {
	var saved shelfState
	switch s.flaw {
	case "torn restore":
		clear(s.State.Words)
	case "merged restore":
		saved.Words = s.State.Words
	case "short read":
		data := make([]byte, 1<<16)
		n, err := r.Read(data)
		if err != nil {
			return err
		}
		r = strings.NewReader(string(data[:n]))
	case "swallowed end":
		data, _ := io.ReadAll(r)
		_ = json.Unmarshal(data, &s.State)
		return nil
	}
	err := json.NewDecoder(r).Decode(&saved)
	if err == nil {
		s.State = saved
	}
	return err
}

func word(rng *rand.Rand) []byte {
	words := []string{"", "ant", "ape", "bee", "cat", "cow", "dog", "elk", "emu", "fox", "gnu", "hen"}
	return []byte(words[rng.IntN(len(words))])
}

func config(flaw string) fsmtest.Config {
	return fsmtest.Config{New: newShelf(flaw), Command: word, Runs: 8, Commands: 60}
}

func TestAGoodMachinePasses(t *testing.T) {
	fsmtest.Test(t, config(""))
}

// flaws are the ways in which a machine is broken, and what is said about each.
var flaws = map[string]string{
	"map order":       "not deterministic: command",
	"clock":           "not deterministic: two instances",
	"batches":         "not deterministic",
	"changed data":    "Apply changed the Data",
	"kept data":       "shares memory",
	"error":           "an Apply returned an error",
	"swallowed error": "the writer failed after",
	"wrong size":      "bytes and returned",
	"lost field":      "goes on differently",
	"shared view":     "changed while Apply went on",
	"torn restore":    "neither the old state nor the new",
	"merged restore":  "another state of one that had a state already",
	"short read":      "read byte by byte: in Restore",
	"swallowed end":   "returned no error, and the state is not the new one",
}

func TestABrokenMachineIsFound(t *testing.T) {
	for _, flaw := range slices.Sorted(maps.Keys(flaws)) {
		t.Run(flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the clock's pauses cost nothing
				found(t, fsmtest.Check(config(flaw)), flaws[flaw])
			})
		})
	}
}

func found(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want an error that says %q, got: %v", want, err)
	}
}

// sink remembers commands in the memory that they came in.
type sink struct {
	shelf
	last []byte
}

func (s *sink) Apply(batch []quorate.Command) error {
	s.last = batch[len(batch)-1].Data
	return nil
}

func (s *sink) Snapshot() (quorate.View, error) {
	return text{strings.NewReader(string(s.last)), ""}, nil
}

func (s *sink) Restore(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err == nil {
		s.last = data
	}
	return err
}

func TestAStateThatSharesMemoryIsFound(t *testing.T) {
	cfg := config("")
	cfg.New = func() quorate.StateMachine { return &sink{} }
	synctest.Test(t, func(t *testing.T) { found(t, fsmtest.Check(cfg), "the state shares memory") })
}

// Where snapshots of one state differ, a hash can tell states apart.
func TestAHashTakesThePlaceOfSnapshotBytes(t *testing.T) {
	cfg := config("lost field")
	cfg.Hash = func(m quorate.StateMachine) uint64 { return uint64(m.(*shelf).State.Count) }
	synctest.Test(t, func(t *testing.T) {
		found(t, fsmtest.Check(cfg), "Restore made another state of a new instance")
	})
}

func TestAnIncompleteConfigIsRefused(t *testing.T) {
	found(t, fsmtest.Check(fsmtest.Config{Command: word}), "Config.New is nil")
	found(t, fsmtest.Check(fsmtest.Config{New: newShelf("")}), "Config.Command is nil")
	found(t, fsmtest.Check(fsmtest.Config{New: func() quorate.StateMachine { return &note{} }, Command: word}), "Config.Open or Config.Reopen")
}
