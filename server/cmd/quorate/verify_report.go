package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/workload"
)

// summary is what a run came to, as people and programs read it.
type summary struct {
	Verdict    linear.Verdict         `json:"verdict"`
	Seed       uint64                 `json:"seed"`
	Endpoints  []string               `json:"endpoints"`
	Keys       int                    `json:"keys"`
	Seconds    float64                `json:"seconds"`
	Answered   int                    `json:"answered"` // operations
	Kinds      map[linear.Kind]int    `json:"kinds"`
	Outcomes   map[linear.Outcome]int `json:"outcomes"`
	NotDone    map[string]int         `json:"not_done"` // certainly, by reason; no part of the history
	Faults     map[string]int         `json:"faults"`
	LongestGap float64                `json:"longest_gap_ms"` // in which no operation was answered
	Stale      staleReads             `json:"stale"`
	Undecided  []string               `json:"undecided,omitempty"` // keys
	Key        string                 `json:"key,omitempty"`       // of the contradiction
	Smallest   []linear.Operation     `json:"smallest,omitempty"`
}

// staleReads are told apart: they promise nothing but not to go back.
type staleReads struct {
	Reads    int `json:"reads"`
	WentBack int `json:"went_back"`
}

func (v *verification) summarize(l *workload.Load, history []linear.Operation, struck map[string]int, r *linear.Result) *summary {
	s := &summary{
		Verdict: r.Verdict, Seed: v.seed, Endpoints: v.endpoints, Keys: r.Keys, Faults: struck,
		Kinds: map[linear.Kind]int{}, Outcomes: map[linear.Outcome]int{}, NotDone: l.NotDone(),
		Undecided: r.Undecided, Key: r.Key, Smallest: r.Smallest,
	}
	var answers []int64
	for i := range history {
		o := &history[i]
		s.Kinds[o.Kind]++
		s.Outcomes[o.Outcome]++
		if o.Outcome != linear.Unknown {
			answers = append(answers, o.Return)
		}
	}
	s.Answered = len(answers)
	if s.Answered == 0 {
		s.Verdict = linear.Undecided // an empty history contradicts nothing, and proves nothing
	}
	s.Stale.Reads, s.Stale.WentBack = l.StaleReads()
	slices.Sort(answers)
	last, gap := int64(0), int64(0)
	for _, at := range answers {
		gap, last = max(gap, at-last), at
	}
	s.Seconds = time.Duration(last).Seconds()
	s.LongestGap = float64(gap) / float64(time.Millisecond)
	return s
}

// table writes the summary for people.
func (s *summary) table(w io.Writer) {
	row(w, "endpoints", len(s.Endpoints))
	row(w, "operations", fmt.Sprintf("%d answered in %.1f s on %d keys: %s", s.Answered, s.Seconds, s.Keys, counts(s.Kinds)))
	row(w, "outcomes", counts(s.Outcomes))
	row(w, "certainly not done", counts(s.NotDone))
	row(w, "faults", counts(s.Faults))
	row(w, "longest gap", fmt.Sprintf("%.0f ms without an answer", s.LongestGap))
	if s.Stale.Reads > 0 {
		row(w, "stale reads", fmt.Sprintf("%d, %d of them behind one before at the same endpoint", s.Stale.Reads, s.Stale.WentBack))
	}
	row(w, "seed", s.Seed)
	row(w, "verdict", s.Verdict)
}

// counts writes a map as "7 get, 3 put", the most frequent first.
func counts[K ~string](of map[K]int) string {
	keys := slices.SortedFunc(maps.Keys(of), func(a, b K) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
	})
	if len(keys) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", of[k], k))
	}
	return strings.Join(parts, ", ")
}

// writeHistory writes the operations in the order of their calls.
func (v *verification) writeHistory(history []linear.Operation) error {
	if v.history == "" {
		return nil
	}
	slices.SortStableFunc(history, func(a, b linear.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return writeFile("--history", v.history, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for i := range history {
			if err := enc.Encode(&history[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (v *verification) writePicture(smallest []linear.Operation) error {
	if v.html == "" {
		return nil
	}
	return writeFile("--html", v.html, func(w io.Writer) error { return linear.Picture(w, smallest, v.checkTime) })
}

func writeFile(flag, path string, write func(w io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}
