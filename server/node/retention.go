package node

import (
	"fmt"
	"strconv"
	"time"
)

// Retention is how much history is kept; its zero value is all of it. At most one of
// the two is set.
type Retention struct {
	For       time.Duration // at least so long after it was written
	Revisions int64         // at least so many
}

// retention reads it as etcd does: a number alone means hours.
func retention(mode, value string) (r Retention, err error) {
	n, err := strconv.ParseInt(value, 10, 32)
	whole := err == nil
	switch mode {
	case "periodic":
		if r.For = time.Duration(n) * time.Hour; !whole {
			r.For, err = time.ParseDuration(value)
		}
		if err != nil || r.For < 0 {
			return r, fmt.Errorf("--auto-compaction-retention %q: it is a duration like 8h, or a number of hours; 0 keeps all", value)
		}
	case "revision":
		if r.Revisions = n; !whole || n < 0 {
			return r, fmt.Errorf("--auto-compaction-retention %q: it is a number of revisions; 0 keeps all", value)
		}
	default:
		return r, fmt.Errorf("--auto-compaction-mode %q: it is periodic or revision", mode)
	}
	return r, nil
}

// steps is in how many steps history is let go of: what is kept is up to one of
// them more than what must be.
const steps = 10

// past knows which revision was current when. Every member remembers it, so that
// a new leader goes on where the old one was.
type past struct {
	Retention
	marks []mark // the oldest first, a step between them
}

type mark struct {
	at       time.Time
	revision int64
}

// note notes where the store is.
func (p *past) note(now time.Time, revision int64) {
	if n := len(p.marks); p.For > 0 && (n == 0 || now.Sub(p.marks[n-1].at) >= p.For/steps) {
		p.marks = append(p.marks, mark{now, revision})
	}
}

// due returns the revision to compact at, zero if that can wait.
func (p *past) due(now time.Time, revision, compacted int64) (at int64) {
	if p.Revisions > 0 {
		if at = revision - p.Revisions; at-compacted >= max(1, p.Revisions/steps) {
			return max(0, at)
		}
		return 0
	}
	for len(p.marks) > 0 && p.For > 0 && now.Sub(p.marks[0].at) >= p.For {
		at, p.marks = p.marks[0].revision, p.marks[1:]
	}
	if at <= max(1, compacted) {
		return 0
	}
	return at
}
