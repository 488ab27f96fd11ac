package membership_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

func voter(id membership.NodeID) membership.Member {
	return membership.Member{ID: id, Role: membership.Voter}
}

func learner(id membership.NodeID) membership.Member {
	return membership.Member{ID: id, Role: membership.Learner}
}

func at(m membership.Member, address string) membership.Member {
	m.Address = address
	return m
}

func TestWhatIsNoConfiguration(t *testing.T) {
	many := membership.Config{}
	for i := range membership.MaxMembers + 1 {
		many.Members = append(many.Members, voter(membership.NodeID(i+1)))
	}
	big := voter(1)
	big.Info = strings.Repeat("x", membership.MaxInfo+1)
	for name, c := range map[string]membership.Config{
		"nobody is zero":      {Members: []membership.Member{voter(0)}},
		"twice":               {Members: []membership.Member{voter(1), voter(1)}},
		"out of order":        {Members: []membership.Member{voter(2), voter(1)}},
		"no role":             {Members: []membership.Member{{ID: 1}}},
		"unknown role":        {Members: []membership.Member{{ID: 1, Role: 9}}},
		"only learners":       {Members: []membership.Member{learner(1)}},
		"too many":            many,
		"too long an address": {Members: []membership.Member{at(voter(1), strings.Repeat("a", membership.MaxAddress+1))}},
		"too much to say":     {Members: []membership.Member{big}},
	} {
		if c.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (membership.Config{}).Check(); err != nil {
		t.Errorf("a node that waits to be invited: %v", err)
	}
	many.Members = many.Members[:membership.MaxMembers]
	if err := many.Check(); err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
}

func TestSteps(t *testing.T) {
	before := membership.New(at(voter(3), "c"), at(voter(1), "a"), at(learner(2), "b"))
	renamed := at(membership.Member{ID: 3}, "d")
	renamed.Info = "rack 7"
	moved := at(voter(3), "d")
	moved.Info = "rack 7"
	for name, step := range map[string]struct {
		kind   membership.ChangeKind
		member membership.Member
		want   membership.Config
	}{
		// Whatever it asks for, a new member begins as a learner (M5).
		"add":             {membership.Add, at(voter(4), "d"), membership.New(at(voter(1), "a"), at(learner(2), "b"), at(voter(3), "c"), at(learner(4), "d"))},
		"add nameless":    {membership.Add, learner(5), membership.New(at(voter(1), "a"), at(learner(2), "b"), at(voter(3), "c"), learner(5))},
		"promote":         {membership.Promote, membership.Member{ID: 2}, membership.New(at(voter(1), "a"), at(voter(2), "b"), at(voter(3), "c"))},
		"remove":          {membership.Remove, membership.Member{ID: 1}, membership.New(at(learner(2), "b"), at(voter(3), "c"))},
		"remove learner":  {membership.Remove, membership.Member{ID: 2}, membership.New(at(voter(1), "a"), at(voter(3), "c"))},
		"update":          {membership.Update, renamed, membership.New(at(voter(1), "a"), at(learner(2), "b"), moved)},
		"update to same":  {membership.Update, at(membership.Member{ID: 1}, "a"), before},
		"update says all": {membership.Update, membership.Member{ID: 1}, membership.New(voter(1), at(learner(2), "b"), at(voter(3), "c"))},
	} {
		got, err := before.Apply(membership.Change{Kind: step.kind, Member: step.member})
		if err != nil || !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, step.want)
		}
	}
}

func TestRefusedSteps(t *testing.T) {
	c := membership.New(at(voter(1), "a"), at(learner(2), "b"))
	for name, step := range map[string]struct {
		kind   membership.ChangeKind
		member membership.Member
		want   error
	}{
		"add a member again":      {membership.Add, membership.Member{ID: 1, Address: "z"}, membership.ErrKnown},
		"add at an address":       {membership.Add, membership.Member{ID: 3, Address: "b"}, membership.ErrAddressUsed},
		"promote a stranger":      {membership.Promote, membership.Member{ID: 3}, membership.ErrUnknown},
		"promote a voter":         {membership.Promote, membership.Member{ID: 1}, membership.ErrNotLearner},
		"remove a stranger":       {membership.Remove, membership.Member{ID: 3}, membership.ErrUnknown},
		"remove the last voter":   {membership.Remove, membership.Member{ID: 1}, membership.ErrLastVoter},
		"update a stranger":       {membership.Update, membership.Member{ID: 3}, membership.ErrUnknown},
		"update to one's address": {membership.Update, membership.Member{ID: 2, Address: "a"}, membership.ErrAddressUsed},
		"nothing":                 {0, membership.Member{ID: 2}, membership.ErrBadChange},
		"something unheard of":    {9, membership.Member{ID: 2}, membership.ErrBadChange},
	} {
		if _, err := c.Apply(membership.Change{Kind: step.kind, Member: step.member}); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
	}
	if _, err := c.Apply(membership.Change{Kind: membership.Add}); err == nil {
		t.Error("a member with the ID zero was added")
	}
	alone := membership.New(voter(1))
	if _, err := alone.Apply(membership.Change{Kind: membership.Remove, Member: voter(1)}); !errors.Is(err, membership.ErrLastVoter) {
		t.Errorf("the only member left: %v", err)
	}
}

// nodes is how many there are to choose from where all configurations are tried.
const nodes = 6

// config returns the configuration that a number stands for: for each node a digit
// to base three, absent, learner or voter.
func config(number int) membership.Config {
	var members []membership.Member
	for id := membership.NodeID(1); id <= nodes; id++ {
		if role := membership.Role(number % 3); role != 0 {
			members = append(members, membership.Member{ID: id, Role: role})
		}
		number /= 3
	}
	return membership.New(members...)
}

// winners returns all sets of nodes, as bits, that win a vote.
func winners(q quorum.Joint) []int {
	var sets []int
	for set := range 1 << nodes {
		vote := q.Tally(func(id quorum.NodeID) quorum.Ballot {
			if set&(1<<(id-1)) != 0 {
				return quorum.Granted
			}
			return quorum.Refused
		})
		if vote == quorum.Won {
			sets = append(sets, set)
		}
	}
	return sets
}

// TestMajoritiesBeforeAndAfterAStepShareANode takes every configuration of up to
// six nodes through every legal step (§4.1 d): two leaders, one by the old and one by
// the new configuration, would need two majorities without a common node.
func TestMajoritiesBeforeAndAfterAStepShareANode(t *testing.T) {
	steps := 0
	for number := range 729 { // 3^6
		before := config(number)
		if before.Check() != nil || len(before.Members) == 0 {
			continue
		}
		old := winners(before.Quorum())
		for id := membership.NodeID(1); id <= nodes; id++ {
			for kind := membership.Add; kind <= membership.Remove; kind++ {
				after, err := before.Apply(membership.Change{Kind: kind, Member: membership.Member{ID: id}})
				if err != nil {
					continue
				}
				steps++
				if err := after.Check(); err != nil {
					t.Fatalf("%v, %v of %d: %v", before, kind, id, err)
				}
				if a, b, ok := disjoint(old, winners(after.Quorum())); ok {
					t.Fatalf("%v, %v of %d: %06b wins before, %06b after", before, kind, id, a, b)
				}
			}
		}
		if !reflect.DeepEqual(before, config(number)) {
			t.Fatalf("a step changed the configuration that it began with: %v", before)
		}
	}
	if steps == 0 {
		t.Fatal("no step was legal")
	}
}

// disjoint looks for a set of each list that share no node.
func disjoint(one, other []int) (a, b int, found bool) {
	for _, a := range one {
		for _, b := range other {
			if a&b == 0 {
				return a, b, true
			}
		}
	}
	return 0, 0, false
}

func TestLookingUpMembers(t *testing.T) {
	c := membership.New(learner(9), voter(4))
	if m, ok := c.Find(9); !ok || m != learner(9) {
		t.Errorf("9 is %v, %t", m, ok)
	}
	if m, ok := c.Find(5); ok || m != (membership.Member{}) {
		t.Errorf("5 is %v, %t", m, ok)
	}
	if !c.Voter(4) || c.Voter(9) || c.Voter(5) {
		t.Error("only 4 is a voter")
	}
	if got := c.Quorum(); !reflect.DeepEqual(got, quorum.Joint{{4}}) {
		t.Errorf("the quorum is %v", got)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		membership.Learner.String(): "learner", membership.Voter.String(): "voter", membership.Role(9).String(): "role(9)",
		membership.Add.String(): "add", membership.Promote.String(): "promote", membership.Remove.String(): "remove",
		membership.Update.String(): "update", membership.ChangeKind(9).String(): "change(9)",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
