package raft

// out gathers what the inputs since the last Take have made necessary.
type out struct {
	send    []Message
	after   []Message
	reads   []Read
	base    *Snapshot
	install *Snapshot
	trace   []Event
}

// any reports whether something was made necessary that Take need not work out.
func (o *out) any() bool { return len(o.send)+len(o.after)+len(o.reads)+len(o.trace) > 0 }

// say sends a message that promises nothing but our term: it may leave at once,
// unless a crash could make us forget that we have been in this term.
func (r *Raft) say(m Message) {
	m.From, m.Term = r.cfg.ID, r.term
	r.sayInjured(&m)
	if r.disk.term == r.term {
		r.out.send = append(r.out.send, m)
	} else {
		r.out.after = append(r.out.after, m)
	}
}

// promise sends a message that a crash must not make untrue (ALL4).
func (r *Raft) promise(m Message) {
	m.From, m.Term = r.cfg.ID, r.term
	r.sayInjured(&m)
	r.trace(ALL4, m.To, m.Last)
	if n := len(r.out.after); n > 0 && m.Kind == AppendEntriesReply {
		// One acknowledgement speaks for all before it. Only the term's
		// leader gets any, and what it has sent us it never takes back.
		old := &r.out.after[n-1]
		if old.Kind == m.Kind && old.To == m.To && old.Rejected == (EntryID{}) && old.Injured == m.Injured {
			if m.Last.Index > old.Last.Index {
				old.Last = m.Last
			}
			return
		}
	}
	r.out.after = append(r.out.after, m)
}

// Take returns what all inputs since the last call have made necessary. Sending
// is decided here and not per input, so that many inputs make one message.
func (r *Raft) Take() (fx Effects) {
	if r.tape != nil {
		r.tape.note(Input{Kind: takeInput})
	}
	if r.leading != nil {
		r.broadcast()
	}
	fx.Send, fx.SendAfter, fx.Reads, fx.Install, fx.Trace = r.out.send, r.out.after, r.out.reads, r.out.install, r.out.trace
	r.nextWrite(&fx.Write)
	fx.WriteID = r.disk.writes
	if len(r.disk.pending) == 0 {
		// Everything is durable already: nothing to wait for.
		fx.Send, fx.SendAfter = append(fx.Send, fx.SendAfter...), nil
	}
	fx.Commit = r.offered()
	r.out.send, r.out.after, r.out.reads = fx.Send[:0], r.out.after[:0], r.out.reads[:0]
	r.out.base, r.out.install, r.out.trace = nil, nil, nil
	if r.asleep { // for long, and as one of many
		r.out = out{}
	}
	r.check()
	if r.tape != nil {
		r.tape.took(r, fx)
	}
	return fx
}

// nextWrite fills in what has changed since the last one.
func (r *Raft) nextWrite(w *Write) {
	state := HardState{Term: r.term, Vote: r.vote, Commit: r.commit, Injured: r.injured != 0}
	last := r.log.last().Index
	w.Base = r.out.base
	if r.disk.handed < last {
		w.Append = r.log.span(r.disk.handed, last, ^uint64(0))
	}
	was := r.disk.state
	promised := state.Term != was.Term || state.Vote != was.Vote || state.Injured != was.Injured
	if promised || !w.Empty() {
		w.State = state
	}
	if w.Empty() {
		return
	}
	r.disk.state, r.disk.handed = state, last
	r.disk.writes++
	r.disk.pending = append(r.disk.pending, pending{r.disk.writes, last, r.term})
}
