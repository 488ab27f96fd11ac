package raft

import (
	"fmt"

	"github.com/quorate-db/quorate/raft/archive"
	"github.com/quorate-db/quorate/raft/membership"
)

// AppendState appends all that decides what this core will do, but for effects that
// nobody has taken yet and for what commands say: of their data only the length is
// kept, which is all that the algorithm looks at. Whether rules are traced is no part
// of it. It costs a few bytes for each entry
// of the log, less where entries are alike.
func (r *Raft) AppendState(dst []byte) []byte {
	a := archive.Write(dst)
	r.archive(&a)
	return a.Bytes()
}

// Restore returns a core in the state that AppendState has written. It is meant to
// be looked at: its commands are all zeros.
func Restore(state []byte) (r *Raft, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case Violation:
			r, err = nil, fmt.Errorf("%w: %w", archive.ErrMalformed, p)
		default:
			panic(p)
		}
	}()
	a := archive.Read(state)
	r = &Raft{}
	if r.archive(&a); len(a.Bytes()) > 0 {
		a.Fail()
	}
	if a.Err() != nil {
		return nil, a.Err()
	}
	if err := (Span{r.log.base, r.log.entries}).Check(); err != nil {
		return nil, err
	}
	r.mark(r.log.last())
	r.check()
	return r, nil
}

// archive lists all that a core is, but for out, which is empty after Take, and was,
// which repeats it.
func (r *Raft) archive(a *archive.Archive) {
	r.cfg.archive(a)
	archive.Number(a, &r.term)
	archive.Fixed(a, &r.vote)
	archive.Fixed(a, &r.lead)
	r.log.archive(a)
	archive.Number(a, &r.commit)
	archive.Number(a, &r.applied)
	r.disk.archive(a)
	archive.Number(a, &r.role)
	r.election.archive(a)
	leads := r.leading != nil
	if archive.Flag(a, &leads); leads {
		if a.Reading() {
			r.leading = &leadership{}
		}
		r.leading.archive(a)
	}
	archive.Flag(a, &r.asleep)
	archive.Number(a, &r.injured)
	archive.List(a, &r.asked, archive.Number[uint64])
	archive.Number(a, &r.tokens)
}

func (c *Config) archive(a *archive.Archive) {
	archive.Fixed(a, &c.ID)
	archive.Fixed(a, &c.Seed)
	archive.Number(a, &c.ElectionTicks)
	archive.Number(a, &c.ElectionSpread)
	archive.Number(a, &c.HeartbeatTicks)
	archive.Flag(a, &c.Lease)
	archive.Number(a, &c.MaxDrift)
	archive.Number(a, &c.SleepTicks)
	archive.Number(a, &c.MaxMessageBytes)
	archive.Number(a, &c.MaxInFlight)
	archive.Number(a, &c.MaxInFlightBytes)
	archive.Number(a, &c.MaxUncommittedBytes)
	archive.Number(a, &c.Applied)
}

func (l *log) archive(a *archive.Archive) {
	archiveID(a, &l.base)
	first, held := configAt{config: &membership.Config{}}, l.entries
	if !a.Reading() {
		first = l.configs[0]
	}
	archive.Number(a, &first.index)
	archiveConfig(a, first.config)
	archiveEntries(a, l.base, &held)
	if a.Reading() && a.Err() == nil {
		first.quorum = first.config.Quorum()
		l.configs = []configAt{first}
		l.extend(held) // which finds the other configurations
	}
}

func (d *disk) archive(a *archive.Archive) {
	archive.Number(a, &d.durable)
	archive.Number(a, &d.term)
	archive.Number(a, &d.state.Term)
	archive.Fixed(a, &d.state.Vote)
	archive.Number(a, &d.state.Commit)
	archive.Flag(a, &d.state.Injured)
	archive.Number(a, &d.handed)
	archive.Number(a, &d.writes)
	archive.List(a, &d.pending, func(a *archive.Archive, p *pending) {
		archive.Number(a, &p.write)
		archive.Number(a, &p.last)
		archive.Number(a, &p.term)
	})
}

func (e *election) archive(a *archive.Archive) {
	archive.Fixed(a, &e.random)
	archive.Number(a, &e.elapsed)
	archive.Number(a, &e.timeout)
	archive.Number(a, &e.quiet)
	archive.List(a, &e.ballots, func(a *archive.Archive, b *ballot) {
		archive.Fixed(a, &b.from)
		archive.Number(a, &b.says)
	})
}

func (l *leadership) archive(a *archive.Archive) {
	archive.Number(a, &l.ticks)
	archive.Number(a, &l.beat)
	archive.List(a, &l.peers, func(a *archive.Archive, p *peer) {
		archive.Fixed(a, &p.id)
		p.Progress.Archive(a)
		archive.Number(a, &p.slept)
		archive.Flag(a, &p.silent)
		archive.Number(a, &p.injured)
		archiveID(a, &p.mend)
	})
	archive.Number(a, &l.uncommitted)
	l.reads.archive(a)
	archive.Fixed(a, &l.transfer.to)
	archive.Number(a, &l.transfer.ticks)
	archive.Flag(a, &l.transfer.told)
	archive.Number(a, &l.rest.ticks)
	archiveID(a, &l.rest.last)
	archive.Number(a, &l.rest.offer)
}

func (q *reads) archive(a *archive.Archive) {
	archive.Number(a, &q.round)
	archive.List(a, &q.sent, func(a *archive.Archive, s *sentAt) {
		archive.Number(a, &s.round)
		archive.Number(a, &s.tick)
	})
	archive.Flag(a, &q.fresh)
	archive.List(a, &q.early, archiveRead)
	archive.List(a, &q.waiting, archiveRead)
	archive.Flag(a, &q.noLease)
}

func archiveRead(a *archive.Archive, read *readFrom) {
	archive.Fixed(a, &read.node)
	archive.Number(a, &read.token)
	archive.Number(a, &read.index)
	archive.Number(a, &read.round)
}

func archiveID(a *archive.Archive, id *EntryID) {
	archive.Number(a, &id.Term)
	archive.Number(a, &id.Index)
}

func archiveConfig(a *archive.Archive, c *membership.Config) {
	archive.Flag(a, &c.Stay)
	archive.List(a, &c.Members, archiveMember)
}

func archiveMember(a *archive.Archive, m *membership.Member) {
	archive.Fixed(a, &m.ID)
	archive.Number(a, &m.Role)
	archive.Number(a, &m.Old)
	archive.Number(a, &m.Priority)
	archive.Text(a, &m.Address)
	archive.Text(a, &m.Info)
}

// maxEntries bounds what is read: alike entries take no bytes of their own.
const maxEntries = 1 << 22

// archiveEntries keeps entries that follow each other, as runs of such as are alike:
// how many, their kind, their term less that of the entry before, their length.
func archiveEntries(a *archive.Archive, prev EntryID, list *[]Entry) {
	left := len(*list)
	if archive.Number(a, &left); a.Reading() {
		if left < 0 || left > maxEntries {
			a.Fail()
			left = 0
		}
		*list = nil
	}
	for at := 0; left > 0 && a.Err() == nil; {
		var e Entry
		run := 1
		if !a.Reading() {
			e = (*list)[at]
			run = alike((*list)[at:])
		}
		e.Term -= prev.Term
		archive.Number(a, &run)
		archive.Number(a, &e.Kind)
		archive.Number(a, &e.Term)
		archive.Length(a, &e.Data)
		e.Term += prev.Term
		if e.Kind == Membership {
			if a.Reading() {
				e.Config = &membership.Config{}
			}
			archiveConfig(a, e.Config)
		}
		if run < 1 || run > left {
			a.Fail()
			return
		}
		if a.Reading() {
			for i := range run {
				e.Index = prev.Index + 1 + Index(i)
				*list = append(*list, e)
			}
		}
		prev = EntryID{e.Term, prev.Index + Index(run)}
		at, left = at+run, left-run
	}
}

// alike returns how many entries from the first on differ only in what they say.
func alike(entries []Entry) int {
	first, n := &entries[0], 1
	for n < len(entries) && first.Kind != Membership {
		if e := &entries[n]; e.Kind != first.Kind || e.Term != first.Term || len(e.Data) != len(first.Data) {
			break
		}
		n++
	}
	return n
}
