package raft

// Brief is the part of a Status that is asked for after every step.
type Brief struct {
	Role    Role
	Term    Term
	Vote    NodeID // in this term; zero while free
	Leader  NodeID // of this term; zero while unknown
	Commit  Index
	Last    EntryID
	Members Index // where in the log the configuration in force stands
}

// Uncommitted is how many bytes of entries wait for a majority in the log of a leader,
// 64 more for each of them; zero if this node does not lead.
func (r *Raft) Uncommitted() uint64 {
	if r.leading == nil {
		return 0
	}
	return r.leading.uncommitted
}

// LogBytes is how many bytes of entries the log holds in memory, 64 more for each of them.
func (r *Raft) LogBytes() uint64 { return r.log.size }

// Brief returns what this node knows, without what takes memory to say.
func (r *Raft) Brief() Brief {
	_, at := r.Members()
	return Brief{r.role, r.term, r.vote, r.lead, r.commit, r.log.last(), at}
}
