package raft

// Slept tells the core that time has passed of which no tick has told: the process
// stood still, say. A leader can then no longer know for how long the answers that
// it has bind a majority, and begins its lease anew (RD3). Nothing else follows
// from it: of what others did meanwhile, their messages will tell.
func (r *Raft) Slept() {
	if r.tape != nil {
		r.tape.note(Input{Kind: sleptInput})
	}
	if r.role == Leader {
		r.leading.reads.sent = r.leading.reads.sent[:0]
	}
	r.check()
}
