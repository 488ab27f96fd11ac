package simulate

import (
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/sim"
)

// tenures are the lives of leases, by time (I16).
type tenures struct {
	sim.Times
	last     map[kv.LeaseID]*tenure // of every ID
	election time.Duration
	ttl      time.Duration // the longest
}

// tenure is the life of a lease. Of a lease that was granted anew it is another.
type tenure struct {
	kv.Grant
	granted time.Duration // the first node was seen to have done so
	over    bool
	expired bool          // it was ended by the cluster, not by its holder
	ended   time.Duration // likewise

	// Since from it was to live for a span: since it was granted, or since the last time
	// somebody began to ask and was told so.
	from, span time.Duration
}

// happened takes in what a command has done to a lease, as soon as anybody knows.
func (t *tenures) happened(index raft.Index, action kv.Action) error {
	switch do := action.(type) {
	case kv.GrantLease:
		ttl := time.Duration(do.TTL) * time.Second
		t.ttl = max(t.ttl, ttl)
		t.last[do.ID] = &tenure{Grant: kv.Grant{ID: do.ID, TTL: do.TTL, Index: index}, granted: t.Now(), from: t.Now(), span: ttl}
	case kv.RevokeLease:
		l := t.last[do.ID]
		l.over, l.expired, l.ended = true, do.Grant != 0, t.Now()
		return t.early(l)
	}
	return nil
}

// passed is how much time may have passed since by any clock: a clock that is set may
// bring on as much as a lessor takes for a pause.
func (t *tenures) passed(since, until time.Duration) time.Duration {
	return time.Duration(float64(until-since)*t.Fastest()) + time.Duration(t.Jumps(since))*lease.Slack + time.Millisecond
}

// early says whether a lease has ended before its time.
func (t *tenures) early(l *tenure) error {
	if l.expired && t.passed(l.from, l.ended) < l.span {
		return broken("I16", "lease %d was to live %v from %v on, and ran out at %v", l.ID, l.span, l.from, l.ended)
	}
	return nil
}

// promised takes in that somebody was told that a lease lives for a span, who began to
// ask at a time.
func (t *tenures) promised(id kv.LeaseID, from, span time.Duration) error {
	l := t.last[id]
	switch {
	case l == nil:
		return broken("I16", "lease %d is said to live for %v, and was never granted", id, span)
	case l.granted > from: // what was said was of another lease
		return nil
	case l.over && l.ended < from:
		return broken("I16", "lease %d is said to live for %v to one who asked at %v, and ended at %v", id, span, from, l.ended)
	case span > t.ttl+t.election+lease.Slack:
		return broken("I16", "lease %d of %d s is said to live for %v", id, l.TTL, span)
	case from+span > l.from+l.span:
		l.from, l.span = from, span
	}
	return t.early(l)
}

// renewed takes in that a lease was renewed for its TTL.
func (t *tenures) renewed(id kv.LeaseID, from time.Duration, seconds int64) error {
	if l := t.last[id]; l != nil && l.granted <= from && seconds != l.TTL {
		return broken("I16", "lease %d of %d s is renewed for %d s", id, l.TTL, seconds)
	}
	return t.promised(id, from, time.Duration(seconds)*time.Second)
}

// gone takes in that somebody who began to ask at a time is told that there is no such
// lease.
func (t *tenures) gone(id kv.LeaseID, from time.Duration) error {
	l := t.last[id]
	if l == nil || l.granted > from || l.over || t.passed(l.from, t.Now()) >= l.span {
		return nil
	}
	return broken("I16", "lease %d was to live %v from %v on, and is said to be no more at %v", id, l.span, l.from, t.Now())
}

// longest is how long leases may live of which nobody speaks any more, with a leader
// who came after the last who was told to look after them, and another one after that.
func (t *tenures) longest() time.Duration {
	return 2*(t.ttl+t.election) + lease.Slack + 3*time.Second
}
