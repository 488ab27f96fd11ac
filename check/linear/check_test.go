package linear_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/check/linear"
)

const limit = 10 * time.Second

// line builds a history of operations one after the other; those that are given
// times keep them.
func line(history ...linear.Operation) []linear.Operation {
	for i := range history {
		o := &history[i]
		if o.Kind != linear.Txn && o.Key == "" {
			o.Key = "k"
		}
		if o.Call == 0 {
			o.Call, o.Return = int64(10*i+1), int64(10*i+9)
		}
		if o.Outcome == "" {
			o.Outcome = linear.OK
		}
	}
	return history
}

func put(value string, revision uint64) linear.Operation {
	return linear.Operation{Kind: linear.Put, Value: value, Revision: revision}
}

func get(value string, revision, store uint64) linear.Operation {
	return linear.Operation{Kind: linear.Get, Value: value, Revision: revision, Store: store}
}

func del(revision uint64) linear.Operation {
	return linear.Operation{Kind: linear.Delete, Revision: revision}
}

func ended(outcome linear.Outcome, o linear.Operation) linear.Operation {
	o.Outcome = outcome
	return o
}

func ifMatch(revision uint64, o linear.Operation) linear.Operation {
	o.IfMatch = revision
	return o
}

func ifAbsent(o linear.Operation) linear.Operation {
	o.IfAbsent = true
	return o
}

func during(call, end int64, o linear.Operation) linear.Operation {
	o.Call, o.Return = call, end
	return o
}

var (
	absent  = ended(linear.Absent, linear.Operation{Kind: linear.Get})
	nothing = ended(linear.Absent, del(0))
)

func TestVerdicts(t *testing.T) {
	for name, tc := range map[string]struct {
		want    linear.Verdict
		history []linear.Operation
	}{
		"nothing happened":                {linear.Linearizable, nil},
		"one after the other":             {linear.Linearizable, line(absent, put("a", 2), get("a", 2, 2), del(3), absent, nothing)},
		"at the same time, either":        {linear.Linearizable, line(put("a", 2), during(11, 50, put("b", 3)), during(20, 30, get("a", 2, 2)), during(21, 31, get("b", 3, 3)))},
		"an old value":                    {linear.NotLinearizable, line(put("a", 2), put("b", 3), get("a", 2, 3))},
		"a value nobody wrote":            {linear.NotLinearizable, line(put("a", 2), get("c", 3, 3))},
		"new, then old":                   {linear.NotLinearizable, line(put("a", 2), during(11, 99, put("b", 3)), during(20, 30, get("b", 3, 3)), during(40, 50, get("a", 2, 2)))},
		"absent after a write":            {linear.NotLinearizable, line(put("a", 2), absent)},
		"there after a delete":            {linear.NotLinearizable, line(put("a", 2), del(3), get("a", 2, 3))},
		"nothing deleted of something":    {linear.NotLinearizable, line(put("a", 2), nothing)},
		"something deleted of nothing":    {linear.NotLinearizable, line(del(3))},
		"revisions fall":                  {linear.NotLinearizable, line(put("a", 3), put("b", 2))},
		"a revision twice":                {linear.NotLinearizable, line(put("a", 3), put("b", 3))},
		"the store goes back":             {linear.NotLinearizable, line(put("a", 2), get("a", 2, 9), get("a", 2, 8))},
		"a write behind what was seen":    {linear.NotLinearizable, line(put("a", 2), get("a", 2, 9), put("b", 9))},
		"another revision of a value":     {linear.NotLinearizable, line(put("a", 2), get("a", 3, 3))},
		"a condition that held":           {linear.Linearizable, line(ifAbsent(put("a", 2)), ifMatch(2, put("b", 3)), ifMatch(3, del(4)))},
		"a condition refused":             {linear.Linearizable, line(put("a", 2), ended(linear.Refused, ifMatch(1, put("b", 0))), ended(linear.Refused, ifAbsent(put("c", 0))))},
		"refused though it held":          {linear.NotLinearizable, line(put("a", 2), ended(linear.Refused, ifMatch(2, put("b", 0))))},
		"carried out though it did not":   {linear.NotLinearizable, line(put("a", 2), put("b", 3), ifMatch(2, put("c", 4)))},
		"two created one key":             {linear.NotLinearizable, line(ifAbsent(put("a", 2)), ifAbsent(put("b", 3)))},
		"unknown, and not carried out":    {linear.Linearizable, line(put("a", 2), ended(linear.Unknown, put("b", 0)), get("a", 2, 2))},
		"unknown, and late":               {linear.Linearizable, line(put("a", 2), ended(linear.Unknown, put("b", 0)), get("a", 2, 2), get("b", 3, 3))},
		"unknown, and undone":             {linear.NotLinearizable, line(put("a", 2), ended(linear.Unknown, put("b", 0)), get("b", 3, 3), get("a", 2, 3))},
		"unknown, twice":                  {linear.NotLinearizable, line(ended(linear.Unknown, put("b", 0)), get("b", 3, 3), put("a", 4), get("b", 5, 5))},
		"unknown, its revision changes":   {linear.NotLinearizable, line(ended(linear.Unknown, put("b", 0)), get("b", 3, 3), get("b", 4, 4))},
		"unknown, read, then a condition": {linear.Linearizable, line(ended(linear.Unknown, put("b", 0)), get("b", 3, 3), ifMatch(3, put("c", 4)))},
		"unknown delete":                  {linear.Linearizable, line(put("a", 2), ended(linear.Unknown, del(0)), get("a", 2, 2), absent, put("b", 4))},
		"refused for no reason":           {linear.NotLinearizable, line(ended(linear.Refused, put("a", 2)))},
		"a put that found no key":         {linear.NotLinearizable, line(ended(linear.Absent, put("a", 2)))},
		"unknown, its condition failed":   {linear.NotLinearizable, line(put("a", 2), ended(linear.Unknown, ifAbsent(put("b", 0))), get("b", 3, 3))},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := linear.Check(tc.history, limit)
			if err != nil || r.Verdict != tc.want {
				t.Errorf("verdict %q, want %q, %v\n%s", r.Verdict, tc.want, err, linear.Text(r.Smallest))
			}
		})
	}
}

// A contradiction of three operations is found among hundreds that are legal, on
// the one key among several.
func TestTheSmallestHistoryIsSmall(t *testing.T) {
	var history []linear.Operation
	at, revision := int64(0), uint64(1)
	add := func(key string, o linear.Operation) {
		at += 10
		o.Key, o.Call, o.Return = key, at, at+5
		if o.Outcome == "" {
			o.Outcome = linear.OK
		}
		history = append(history, o)
	}
	for i := range 100 {
		for _, key := range []string{"a", "b", "c"} {
			value := string(rune('A' + i))
			revision += 3
			add(key, put(value, revision-2))
			add(key, get(value, revision-2, revision-2))
			add(key, del(revision-1))
			add(key, absent)
			add(key, ifAbsent(put(value+"!", revision)))
			if key == "b" && i == 50 {
				add(key, get(value, revision-2, revision)) // of a value that was deleted, and written over
			}
		}
	}
	r, err := linear.Check(history, limit)
	if err != nil || r.Verdict != linear.NotLinearizable || r.Key != "b" || r.Keys != 3 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if len(r.Smallest) > 3 {
		t.Errorf("the smallest history has %d operations:\n%s", len(r.Smallest), linear.Text(r.Smallest))
	}
	var page bytes.Buffer
	if err := linear.Picture(&page, r.Smallest, limit); err != nil || !strings.Contains(page.String(), "<html") {
		t.Errorf("%v: this is no page: %.100s", err, page.String())
	}
}

func TestWhatIsNoHistoryIsRefused(t *testing.T) {
	for name, history := range map[string][]linear.Operation{
		"one value twice":          line(put("a", 2), put("a", 3)),
		"no such operation":        line(linear.Operation{Kind: "swap"}),
		"no such outcome":          line(ended("maybe", put("a", 2))),
		"an end before its begin":  line(during(5, 4, put("a", 2))),
		"a transaction of nothing": line(linear.Operation{Kind: linear.Txn}),
		"a key in it twice":        line(txn(2, linear.Part{Kind: linear.Get, Key: "k"}, linear.Part{Kind: linear.Get, Key: "k"})),
		"a transaction in it":      line(txn(2, linear.Part{Kind: linear.Txn, Key: "k"})),
		"a read with a condition":  line(ifMatch(2, get("a", 2, 2))),
	} {
		if _, err := linear.Check(history, limit); err == nil {
			t.Errorf("%s: it was judged", name)
		}
	}
}

func txn(revision uint64, parts ...linear.Part) linear.Operation {
	return linear.Operation{Kind: linear.Txn, Parts: parts, Revision: revision}
}

// Of each key alone, every history here could have happened.
func TestTransactionsTieKeysTogether(t *testing.T) {
	write := func(key, value string) linear.Part { return linear.Part{Kind: linear.Put, Key: key, Value: value} }
	read := func(key, value string, revision uint64) linear.Part {
		return linear.Part{Kind: linear.Get, Key: key, Value: value, Revision: revision, Outcome: linear.OK}
	}
	none := func(key string) linear.Part { return linear.Part{Kind: linear.Get, Key: key, Outcome: linear.Absent} }
	at := func(revision uint64, p linear.Part) linear.Part {
		p.IfMatch = revision
		return p
	}
	both := txn(2, write("k", "a"), write("l", "a"))
	on := func(key string, o linear.Operation) linear.Operation {
		o.Key = key
		return o
	}
	for name, tc := range map[string]struct {
		want    linear.Verdict
		history []linear.Operation
	}{
		"both, then both":              {linear.Linearizable, line(both, txn(0, read("k", "a", 2), read("l", "a", 2)))},
		"nothing, while it is written": {linear.Linearizable, line(during(1, 100, both), during(2, 3, txn(0, none("k"), none("l"))))},
		"half of it":                   {linear.NotLinearizable, line(during(1, 100, both), during(2, 3, txn(0, read("k", "a", 2), none("l"))))},
		"half of it, one by one":       {linear.NotLinearizable, line(during(1, 100, both), during(2, 3, get("a", 2, 2)), during(4, 5, on("l", absent)))},
		"half of it, in doubt":         {linear.NotLinearizable, line(during(1, 0, ended(linear.Unknown, txn(0, both.Parts...))), during(2, 3, get("a", 2, 2)), during(4, 5, on("l", absent)))},
		"two reads cross":              {linear.NotLinearizable, line(during(1, 100, put("a", 2)), during(1, 100, on("l", put("b", 3))), during(2, 50, txn(0, none("k"), read("l", "b", 3))), during(60, 99, get("a", 2, 2)))},
		"one condition fails":          {linear.NotLinearizable, line(both, txn(3, at(2, write("k", "b")), at(9, write("l", "b"))))},
		"refused, since one fails":     {linear.Linearizable, line(both, ended(linear.Refused, txn(0, at(2, write("k", "b")), at(9, write("l", "b")))))},
		"refused, and all hold":        {linear.NotLinearizable, line(both, ended(linear.Refused, txn(0, at(2, write("k", "b")), at(2, write("l", "b")))))},
		"a revision twice":             {linear.NotLinearizable, line(both, put("b", 3), on("l", put("c", 3)))},
		"a delete of nothing":          {linear.Linearizable, line(put("a", 2), txn(2, linear.Part{Kind: linear.Delete, Key: "l"}))},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := linear.Check(tc.history, limit)
			if err != nil || r.Verdict != tc.want {
				t.Errorf("verdict %q, want %q, %v\n%s", r.Verdict, tc.want, err, linear.Text(r.Smallest))
			}
			if want := "k, l"; r.Verdict == linear.NotLinearizable && (r.Key != want || r.Keys != 2) {
				t.Errorf("of %d keys %q contradict, want %q", r.Keys, r.Key, want)
			}
		})
	}
}

// Many writes in doubt at once make more orders than can be tried: then it must
// say so, and soon.
func TestTheLimitEndsTheSearch(t *testing.T) {
	var history []linear.Operation
	for i := range 60 {
		history = append(history, during(1, 0, ended(linear.Unknown, put(string(rune('A'+i)), 0))))
	}
	for i := range 60 {
		history = append(history, during(int64(1), 1000, put(string(rune('a'+i))+"!", uint64(100-i))))
	}
	history = append(history, during(2000, 2001, get("never written", 200, 200)))
	r, err := linear.Check(line(history...), 20*time.Millisecond)
	if err != nil || r.Verdict != linear.Undecided || len(r.Undecided) != 1 {
		t.Errorf("got %v for %v, %v", r.Verdict, r.Undecided, err)
	}
	r, err = linear.CheckSteps(line(history...), 10_000)
	if err != nil || r.Verdict != linear.Undecided || len(r.Undecided) != 1 {
		t.Errorf("counting steps: got %v for %v, %v", r.Verdict, r.Undecided, err)
	}
}
