package quorum_test

import (
	"testing"

	"github.com/quorate-db/quorate/raft/quorum"
)

// voters returns the set {1 ... n}.
func voters(n int) quorum.Voters {
	var v quorum.Voters
	for i := range n {
		v = append(v, quorum.NodeID(i+1))
	}
	return v
}

// each calls f with all ways to give n nodes a number below base.
func each(n, base int, f func(digits []int)) {
	digits := make([]int, n)
	for {
		f(digits)
		i := 0
		for ; i < n; i++ {
			if digits[i]++; digits[i] < base {
				break
			}
			digits[i] = 0
		}
		if i == n {
			return
		}
	}
}

// REQ-C1: floor(n/2)+1, even n included.
func TestMajority(t *testing.T) {
	for n, want := range []int{1, 1, 2, 2, 3, 3, 4, 4} {
		if got := voters(n).Majority(); got != want {
			t.Errorf("majority of %d is %d, want %d", n, got, want)
		}
	}
}

// TestCommittedIsWhatAMajorityHas compares with the definition: the highest index
// that at least n/2+1 voters have reached.
func TestCommittedIsWhatAMajorityHas(t *testing.T) {
	for n := 1; n <= 7; n++ {
		each(n, 4, func(acked []int) {
			want := 0
			for i := 1; i < 4; i++ {
				have := 0
				for _, a := range acked {
					if a >= i {
						have++
					}
				}
				if have >= n/2+1 {
					want = i
				}
			}
			got := voters(n).Committed(func(id quorum.NodeID) quorum.Index { return quorum.Index(acked[id-1]) })
			if got != quorum.Index(want) {
				t.Fatalf("%v committed %d, want %d", acked, got, want)
			}
		})
	}
}

// More voters than the fast path has room for, and none at all.
func TestCommittedOfManyAndOfNone(t *testing.T) {
	got := voters(21).Committed(func(id quorum.NodeID) quorum.Index { return quorum.Index(id) * 10 })
	if got != 110 { // 11 to 21 are eleven of 21
		t.Errorf("21 voters committed %d, want 110", got)
	}
	if got := (quorum.Voters{}).Committed(nil); got != quorum.MaxIndex {
		t.Errorf("nobody objects, but committed is %d", got)
	}
}

func ballot(digit int) quorum.Ballot { return quorum.Ballot(digit) }

// outcome decides by all ways in which those who are still silent may answer.
func outcome(ballots []int) quorum.Vote {
	var silent []int
	granted := 0
	for i, b := range ballots {
		switch ballot(b) {
		case quorum.Unanswered:
			silent = append(silent, i)
		case quorum.Granted:
			granted++
		}
	}
	won, lost := false, false
	each(len(silent), 2, func(answers []int) {
		sum := granted
		for _, a := range answers {
			sum += a
		}
		if sum >= len(ballots)/2+1 {
			won = true
		} else {
			lost = true
		}
	})
	switch {
	case !lost:
		return quorum.Won
	case !won:
		return quorum.Lost
	default:
		return quorum.Pending
	}
}

func TestTallyIsDecidedWhenNobodyCanChangeIt(t *testing.T) {
	for n := 1; n <= 7; n++ {
		each(n, 3, func(ballots []int) {
			got := voters(n).Tally(func(id quorum.NodeID) quorum.Ballot { return ballot(ballots[id-1]) })
			if want := outcome(ballots); got != want {
				t.Fatalf("ballots %v: %v, want %v", ballots, got, want)
			}
		})
	}
	if got := (quorum.Voters{}).Tally(nil); got != quorum.Won {
		t.Errorf("nobody objects, but the vote is %v", got)
	}
}

// subset returns the members of a set of up to six nodes, given as bits.
func subset(bits int) quorum.Voters {
	var v quorum.Voters
	for i := range 6 {
		if bits&(1<<i) != 0 {
			v = append(v, quorum.NodeID(i+1))
		}
	}
	return v
}

// TestJointNeedsBoth tries all pairs of sets among four nodes with all ballots.
func TestJointNeedsBoth(t *testing.T) {
	for a := range 16 {
		for b := range 16 {
			joint := quorum.Joint{subset(a), subset(b)}
			each(4, 3, func(digits []int) {
				ask := func(id quorum.NodeID) quorum.Ballot { return ballot(digits[id-1]) }
				acked := func(id quorum.NodeID) quorum.Index { return quorum.Index(digits[id-1]) }
				one, two := joint[0].Tally(ask), joint[1].Tally(ask)
				got := joint.Tally(ask)
				if (got == quorum.Won) != (one == quorum.Won && two == quorum.Won) ||
					(got == quorum.Lost) != (one == quorum.Lost || two == quorum.Lost) {
					t.Fatalf("%v with ballots %v: %v of %v and %v", joint, digits, got, one, two)
				}
				if got := joint.Committed(acked); got > joint[0].Committed(acked) || got > joint[1].Committed(acked) ||
					got != joint[0].Committed(acked) && got != joint[1].Committed(acked) {
					t.Fatalf("%v with %v: committed %d", joint, digits, got)
				}
			})
			for id := quorum.NodeID(1); id <= 4; id++ {
				if joint.Contains(id) != ((a|b)&(1<<(id-1)) != 0) {
					t.Fatalf("%v contains %d: %t", joint, id, joint.Contains(id))
				}
			}
		}
	}
}

// TestTwoMajoritiesShareANode is why a majority decides: no two sets of nodes
// without a common member can both win, in any group of one to six.
func TestTwoMajoritiesShareANode(t *testing.T) {
	for n := 1; n <= 6; n++ {
		wins := func(bits int) bool {
			return voters(n).Tally(func(id quorum.NodeID) quorum.Ballot {
				if bits&(1<<(id-1)) != 0 {
					return quorum.Granted
				}
				return quorum.Refused
			}) == quorum.Won
		}
		for a := range 1 << n {
			for b := range 1 << n {
				if a&b == 0 && wins(a) && wins(b) {
					t.Fatalf("of %d voters both %06b and %06b win", n, a, b)
				}
			}
		}
		if !wins(1<<n - 1) {
			t.Errorf("all %d voters together do not win", n)
		}
	}
}

func TestVotesHaveNames(t *testing.T) {
	for v, want := range map[quorum.Vote]string{quorum.Pending: "pending", quorum.Won: "won", quorum.Lost: "lost"} {
		if v.String() != want {
			t.Errorf("%d is called %q, want %q", v, v, want)
		}
	}
}
