package rafttest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// args is what follows a command: words in order, and name=value in any order.
type args struct {
	words []string
	named map[string]string
}

func parse(line string) *args {
	a := &args{named: map[string]string{}}
	for _, w := range strings.Fields(line) {
		if name, value, ok := strings.Cut(w, "="); ok {
			a.named[name] = value
		} else {
			a.words = append(a.words, w)
		}
	}
	return a
}

func (a *args) next() string {
	if len(a.words) == 0 {
		fail("something is missing")
	}
	w := a.words[0]
	a.words = a.words[1:]
	return w
}

// rest takes all words that are left.
func (a *args) rest() []string {
	w := a.words
	a.words = nil
	return w
}

// done refuses what nobody has asked for.
func (a *args) done() {
	if len(a.words) > 0 || len(a.named) > 0 {
		fail("unknown: %v %v", a.words, slices.Sorted(maps.Keys(a.named)))
	}
}

// flag takes a word, wherever it stands.
func (a *args) flag(word string) bool {
	i := slices.Index(a.words, word)
	if i >= 0 {
		a.words = slices.Delete(a.words, i, i+1)
	}
	return i >= 0
}

// count takes the next word as a number.
func (a *args) count(otherwise uint64) uint64 {
	if len(a.words) == 0 {
		return otherwise
	}
	return number(a.next())
}

func (a *args) take(name string) (string, bool) {
	value, ok := a.named[name]
	delete(a.named, name)
	return value, ok
}

func (a *args) number(name string, otherwise uint64) uint64 {
	if value, ok := a.take(name); ok {
		return number(value)
	}
	return otherwise
}

func (a *args) entryID(name string) raft.EntryID {
	if value, ok := a.take(name); ok {
		return entryID(value)
	}
	return raft.EntryID{}
}

// entries takes entries like 2/2,3/3:x,3/4@1+2: without a command they are blank,
// behind an @ are the voters of a configuration.
func (a *args) entries(name string, config func(string) membership.Config) []raft.Entry {
	var all []raft.Entry
	value, ok := a.take(name)
	if !ok {
		return nil
	}
	for part := range strings.SplitSeq(value, ",") {
		id, text, command := strings.Cut(part, ":")
		id, voters, change := strings.Cut(id, "@")
		e := raft.Entry{EntryID: entryID(id), Kind: raft.Blank}
		switch {
		case command:
			e.Kind, e.Data = raft.Command, []byte(text)
		case change:
			c := config(voters)
			e.Kind, e.Config = raft.Membership, &c
		}
		all = append(all, e)
	}
	return all
}

func entryID(text string) raft.EntryID {
	term, index, _ := strings.Cut(text, "/")
	return raft.EntryID{Term: raft.Term(number(term)), Index: raft.Index(number(index))}
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fail("%q is no number", text)
	}
	return n
}
