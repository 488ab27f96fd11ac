package raft

// Rule is the short name of a rule of Raft; docs/rules.md says what each means
// and where it stands.
type Rule string

// The rules that the core follows, in the order of docs/rules.md.
const (
	ALL1 Rule = "ALL1"
	ALL2 Rule = "ALL2"
	ALL3 Rule = "ALL3"
	ALL4 Rule = "ALL4"
	F1   Rule = "F1"
	F2   Rule = "F2"
	C1   Rule = "C1"
	C2   Rule = "C2"
	C3   Rule = "C3"
	C4   Rule = "C4"
	RV1  Rule = "RV1"
	RV2  Rule = "RV2"
	RV3  Rule = "RV3"
	RV4  Rule = "RV4"
	PV1  Rule = "PV1"
	L1   Rule = "L1"
	L2   Rule = "L2"
	L3   Rule = "L3"
	L4   Rule = "L4"
	L5   Rule = "L5"
	L6   Rule = "L6"
	L7   Rule = "L7"
	L8   Rule = "L8"
	L9   Rule = "L9"
	L10  Rule = "L10"
	L11  Rule = "L11"
	AE1  Rule = "AE1"
	AE2  Rule = "AE2"
	AE3  Rule = "AE3"
	AE4  Rule = "AE4"
	AE5  Rule = "AE5"
	AE6  Rule = "AE6"
	IS1  Rule = "IS1"
	IS3  Rule = "IS3"
	IS4  Rule = "IS4"
	SN1  Rule = "SN1"
	SN2  Rule = "SN2"
	M1   Rule = "M1"
	M2   Rule = "M2"
	M3   Rule = "M3"
	M4   Rule = "M4"
	M5   Rule = "M5"
	M6   Rule = "M6"
	M7   Rule = "M7"
	RD1  Rule = "RD1"
	RD2  Rule = "RD2"
	RD3  Rule = "RD3"
	TR1  Rule = "TR1"
	TR2  Rule = "TR2"
	TR3  Rule = "TR3"
	SL1  Rule = "SL1"
	SL2  Rule = "SL2"
	SL3  Rule = "SL3"
	SL4  Rule = "SL4"
	SL5  Rule = "SL5"
	SL6  Rule = "SL6"
	IN1  Rule = "IN1"
	IN2  Rule = "IN2"
	IN3  Rule = "IN3"
	IN4  Rule = "IN4"
	IN5  Rule = "IN5"
)

// Event says that a node has followed a rule, and in what state it was then.
type Event struct {
	Rule   Rule
	Node   NodeID
	Peer   NodeID  // whose message it was about, or to whom; zero: nobody's
	Entry  EntryID // what it was about, as far as the rule is about an entry
	Role   Role
	Term   Term
	Vote   NodeID
	Lead   NodeID
	Commit Index
	Last   EntryID
}

// trace is small enough to be compiled into its callers: mostly nobody listens.
func (r *Raft) trace(rule Rule, peer NodeID, about EntryID) {
	if r.cfg.Trace {
		r.record(rule, peer, about)
	}
}

func (r *Raft) record(rule Rule, peer NodeID, about EntryID) {
	r.out.trace = append(r.out.trace, Event{
		Rule: rule, Node: r.cfg.ID, Peer: peer, Entry: about,
		Role: r.role, Term: r.term, Vote: r.vote, Lead: r.lead, Commit: r.commit, Last: r.log.last(),
	})
}
