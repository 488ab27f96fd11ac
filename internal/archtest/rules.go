package archtest

// Rule is a rule of Raft under the short name by which code, scripts and traces
// refer to it. Names are never reused.
type Rule struct {
	ID     string
	Says   string // the rule in our own words
	Source string // §n of the Raft paper (extended version); §n d of the dissertation
	Home   string // where a reader should look first, below raft/ unless it says otherwise
}

// Chapter is a family of rules, in the order in which a reader meets them.
type Chapter struct {
	Title string
	Rules []Rule
}

// Rules are all the rules there are. A tag that is not here fails a test.
var Rules = []Chapter{
	{"All servers", []Rule{
		{"ALL1", "Entries are applied up to commit, in order, each once.", "Fig. 2, §5.3", "commit.go"},
		{"ALL2", "A message of a newer term makes the receiver a follower in that term.", "§5.1", "raft.go"},
		{"ALL3", "A message of an older term is refused or ignored.", "§5.1", "raft.go"},
		{"ALL4", "Term, vote and entries are on disk before anything is promised that rests on them.", "§3.8 d", "effects.go"},
	}},
	{"Followers", []Rule{
		{"F1", "A follower that hears of no leader for an election timeout campaigns.", "§5.2", "tick.go"},
		{"F2", "Election timeouts are random, drawn from a seeded generator that is part of the state.", "§5.2", "election.go"},
	}},
	{"Candidates", []Rule{
		{"C1", "A campaign means a new term, a vote for oneself, a fresh timer, and a question to every voter.", "Fig. 2, §5.2", "election.go"},
		{"C2", "A majority of votes makes a leader.", "§5.2", "election.go"},
		{"C3", "A candidate that hears from a leader of its own term follows it.", "§5.2", "raft.go"},
		{"C4", "A campaign that nobody wins within the timeout is followed by another.", "§5.2", "election.go"},
	}},
	{"Votes", []Rule{
		{"RV1", "No vote for a candidate of an older term.", "Fig. 2, §5.1", "raft.go"},
		{"RV2", "One vote per term, for whoever asks first.", "§5.2", "election.go"},
		{"RV3", "A vote goes only to a candidate whose log is at least as up to date: last term first, then length.", "§5.4.1", "election.go"},
		{"RV4", "No vote while a leader is alive, unless the leader itself sent the candidate.", "§4.2.3 d, §6", "raft.go"},
		{"PV1", "A node asks whether it could win before it raises its term.", "§9.6 d", "election.go"},
	}},
	{"Leaders", []Rule{
		{"L1", "A new leader announces itself at once.", "Fig. 2, §5.2", "replicate.go"},
		{"L2", "A new leader appends a blank entry of its term.", "§8, §5.4.2", "election.go"},
		{"L3", "A command is appended, and answered after it is applied.", "Fig. 2, §5.3", "replicate.go"},
		{"L4", "A leader only ever appends to its own log.", "Fig. 3, §5.3", "replicate.go"},
		{"L5", "A follower is sent what begins at its Next; a success raises Match and Next.", "Fig. 2, §5.3", "replicate.go"},
		{"L6", "A mismatch lowers Next, by whole terms where the logs allow it.", "§5.3", "replicate.go"},
		{"L7", "An idle leader sends heartbeats.", "§5.2", "leadership.go"},
		{"L8", "An index commits when a majority holds it and its entry is of the leader's own term.", "§5.4.2, Fig. 8", "commit.go"},
		{"L9", "A leader that a majority has not answered for an election timeout steps down.", "§6.2 d", "leadership.go"},
		{"L10", "A leader's own disk writes while its followers' disks do.", "§10.2.1 d", "effects.go"},
		{"L11", "Entries are sent ahead of the answers, within a window.", "§10.2.2 d", "progress/"},
	}},
	{"AppendEntries", []Rule{
		{"AE1", "Entries from a leader of an older term are refused.", "Fig. 2, §5.1", "append.go"},
		{"AE2", "Entries whose predecessor we do not hold are refused.", "§5.3", "append.go"},
		{"AE3", "The log is cut at the first entry that conflicts, and nowhere else.", "§5.3", "append.go"},
		{"AE4", "What is new is appended.", "§5.3", "append.go"},
		{"AE5", "Commit rises to the leader's, as far as this message vouches for our log.", "§5.3", "append.go"},
		{"AE6", "A word from the leader of this term resets the election timer.", "§5.2", "raft.go"},
	}},
	{"Snapshots", []Rule{
		{"IS1", "A snapshot of an older term is refused; one that tells us nothing new is ignored.", "Fig. 13, §7", "snapshot.go"},
		{"IS2", "Chunks arrive in order; an unexpected offset is refused.", "Fig. 13", "snapshot.go, ../snap/"},
		{"IS3", "If our log holds the snapshot's last entry, what follows it stays.", "Fig. 13", "snapshot.go"},
		{"IS4", "Otherwise the log goes, and state and configuration come from the snapshot.", "Fig. 13", "snapshot.go"},
		{"SN1", "Only what is applied and covered by a snapshot is compacted.", "§7, §5.1 d", "snapshot.go"},
		{"SN2", "A follower that needs what was compacted is sent a snapshot.", "§7", "replicate.go"},
	}},
	{"Membership", []Rule{
		{"M1", "One change at a time.", "§4.1 d", "membership.go"},
		{"M2", "A change counts from the moment it is appended, and is undone if its entry is cut.", "§6, §4.1 d", "membership.go"},
		{"M3", "In a joint configuration both majorities decide.", "§6, §4.3 d", "quorum/, membership/"},
		{"M4", "A joint configuration is left once it is committed.", "§6, §4.3 d", "membership.go"},
		{"M5", "A new node learns before it votes.", "§4.2.1 d", "membership.go"},
		{"M6", "A leader outside the new configuration leads until it commits, then steps down.", "§4.2.2 d", "membership.go"},
		{"M7", "No change before an entry of the leader's own term is committed.", "Ongaro, raft-dev, 2015", "membership.go"},
	}},
	{"Reads", []Rule{
		{"RD1", "A linearizable read notes commit, proves that the leader still leads, waits until that much is applied, and reads.", "§6.4 d, §8", "read.go"},
		{"RD2", "No read before an entry of the leader's own term is committed.", "§6.4 d", "read.go"},
		{"RD3", "Under a lease the proof is skipped, for as long as clocks may be trusted.", "§6.4.1 d", "read.go"},
	}},
	{"Leadership transfer", []Rule{
		{"TR1", "A leader that hands over takes no proposals, brings the target up to date, and tells it to campaign.", "§3.10 d", "transfer.go"},
		{"TR2", "It gives up after an election timeout.", "§3.10 d", "transfer.go"},
		{"TR3", "The target campaigns at once, with leave to disturb a living leader.", "§3.10 d, §4.2.3 d", "transfer.go"},
	}},
	{"Sleep", []Rule{
		{"SL1", "A leader whose group has had nothing to do for a while offers to sleep.", "ours", "sleep.go"},
		{"SL2", "A follower sleeps if it has and knows just what its leader has, and says so.", "ours", "sleep.go"},
		{"SL3", "The leader sleeps once all do whose nodes are alive, if they are a majority with it.", "ours", "sleep.go"},
		{"SL4", "Any input wakes, and a follower tells its leader; time begins to count anew.", "ours", "sleep.go"},
		{"SL5", "A leader that wakes has no lease, and nobody has failed to answer it.", "ours", "sleep.go"},
		{"SL6", "A follower forgets a leader whose node has been silent for an election timeout.", "ours", "sleep.go"},
	}},
	{"Injury", []Rule{
		{"IN1", "A node whose disk has lost something votes for nobody and asks for no votes.", "ours", "election.go"},
		{"IN2", "Its acknowledgements, and its answers to rounds, count for nothing.", "ours", "commit.go"},
		{"IN3", "A leader that learns of it begins anew with it, and appends an entry.", "ours", "injury.go"},
		{"IN4", "Once that entry is committed without it and on its disk, it is well again; its vote of this term is its leader's.", "ours", "injury.go"},
		{"IN5", "While it hears no leader, it tells all others of itself.", "ours", "injury.go"},
	}},
	{"Clients", []Rule{
		{"CL1", "A command that carries a serial number seen before is not carried out twice.", "§8, §6.3 d", "../server/kv/"},
	}},
}

// elsewhere are the rules that are carried out around the core, and so shown by
// tests and not by scripts.
var elsewhere = map[string]string{
	"IS2": "package snap puts chunks in order; the core hears of whole snapshots",
	"CL1": "sessions belong to the state machine",
}

// CoreRules returns the names of the rules that package raft follows: those that
// its scripts show and its trace names, in the order of Rules.
func CoreRules() []string {
	var ids []string
	for _, chapter := range Rules {
		for _, r := range chapter.Rules {
			if elsewhere[r.ID] == "" {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids
}
