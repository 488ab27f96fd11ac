package simulate

import (
	"maps"
	"slices"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/sim"
)

// treasurer is a client that sets a quota, so small that it is passed, and makes room;
// it raises alarms by hand, too, and ends them.
type treasurer struct {
	guest
	quota  int64
	set    bool              // the quota is, for the first time
	raised map[kv.Alarm]bool // that may be on
}

// Next implements [sim.Guest]. In the end no alarm stays that would keep leases from
// being revoked.
func (t *treasurer) Next(calm bool) *sim.Errand {
	draw := t.rng.IntN(20)
	switch {
	case len(t.raised) > 0 && (calm || draw < 10):
		return t.ends()
	case calm:
		return nil
	case !t.set || draw < 1:
		return t.sets()
	case draw < 3:
		return t.raises()
	case draw < 9:
		return t.look("what is taken", func(m *kv.Machine) error {
			_, err := t.looked(m)
			return err
		})
	case draw < 11:
		return t.proposes(kv.Sweep{})
	}
	return t.proposes(kv.Compact{Revision: max(0, t.Revision()-t.rng.Int64N(60))})
}

// Lost implements [sim.Guest].
func (t *treasurer) Lost() {}

func (t *treasurer) proposes(do kv.Action) *sim.Errand {
	return t.propose(kv.Command{By: kv.ThisNode, Do: do}, func(*kv.Result) {})
}

func (t *treasurer) sets() *sim.Errand {
	do := kv.SetQuota{Bytes: t.quota}
	if t.set {
		do.Bytes = t.rng.Int64N(2 * t.quota) // mostly; zero is none
	}
	return t.propose(kv.Command{By: kv.ThisNode, Do: do}, func(*kv.Result) { t.set = true })
}

func (t *treasurer) raises() *sim.Errand {
	a := kv.Alarm{Member: 1 + t.rng.Uint64N(2), Kind: []kv.AlarmKind{kv.NoSpace, kv.NoSpace, kv.Corrupt}[t.rng.IntN(3)]}
	t.raised[a] = true
	return t.proposes(kv.SetAlarm{Alarm: a, On: true})
}

// ends ends an alarm.
func (t *treasurer) ends() *sim.Errand {
	all := slices.SortedFunc(maps.Keys(t.raised), func(a, b kv.Alarm) int { return int(a.Member) - int(b.Member) + 2*(int(a.Kind)-int(b.Kind)) })
	a := all[t.rng.IntN(len(all))]
	return t.propose(kv.Command{By: kv.ThisNode, Do: kv.SetAlarm{Alarm: a}}, func(*kv.Result) { delete(t.raised, a) })
}
