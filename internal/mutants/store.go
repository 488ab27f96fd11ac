package main

// ofStore are mutants of what the key-value store does beyond a map from keys to
// values, and of who looks after its leases.
var ofStore = []mutant{
	// Leases.
	{"a renewal does not count", "", "server/lease/reign.go",
		"	h.deadline = max(h.deadline, now+time.Duration(h.TTL)*time.Second)\n",
		"	_ = now\n"},
	{"a clock that is set makes leases run out", "", "server/lease/lessor.go",
		"return l.now + min(max(0, l.Env.Now().Sub(l.ticked)), maxStep)",
		"return l.now + max(0, l.Env.Now().Sub(l.ticked))"},
	{"a lease that was renewed counts as run out", "", "server/lease/reign.go",
		"		if h.deadline <= now {\n",
		"		if h.deadline-time.Duration(h.TTL/2)*time.Second <= now {\n"},
	{"a new leader knows of no lease", "", "server/lease/lessor.go",
		"	l.reign.inherit(all, l.clock(), l.Election)\n",
		"	for _, g := range all {\n		l.reign.seen = max(l.reign.seen, g.Index)\n	}\n"},
	{"the last key of a lease outlives it", "", "server/kv/lease.go",
		"	for _, key := range keys {\n		was, err",
		"	for _, key := range keys[:max(1, len(keys))-1] {\n		was, err"},
	{"a lease that is revoked takes keys that left it", "", "server/kv/lease.go",
		"	if was != 0 {\n		s.batch.Delete(attachedKey(was, key))\n	}\n",
		""},

	// The quota and alarms.
	{"the quota may be passed", "", "server/kv/space.go",
		"s.quota > 0 && s.bytes > s.quota:",
		"s.quota > 0 && s.bytes > 2*s.quota:"},
	{"the alarm ends as soon as the quota is not passed", "", "server/kv/space.go",
		"s.quota == 0 || s.bytes <= s.quota-s.quota/10:",
		"s.quota == 0 || s.bytes <= s.quota:"},
	{"what is cleared away counts on", "", "server/kv/compact.go",
		"		s.space.bytes -= weight(c.key, c.size)\n",
		""},
	{"a delete is refused where there is no room", "", "server/kv/space.go",
		"		return do.puts()\n",
		"		return do.puts() || len(do.Then) > 0\n"},

	// Rights.
	{"who was somebody before a change of rights still is", "", "server/kv/permit.go",
		"	case by.Revision < m.rights:\n",
		"	case by.Revision < 0:\n"},
	{"who reads is not asked whether it may", "", "server/kv/for.go",
		"			err = w.check(MayRead, q.Start, q.End)\n",
		"			_ = w.check(MayRead, q.Start, q.End)\n"},
	{"a nested transaction may do anything", "", "server/kv/permit.go",
		"		return w.checkTxn(r, op)\n",
		"		return nil\n"},
	{"a role that was deleted comes back with its users", "", "server/kv/guard.go",
		"			s.batch.Set(userKey(u.Name), u.encode())\n",
		""},
	{"a session answers whoever asks", "", "server/kv/permit.go",
		"	if err == nil && open && was.owner != by.Name {\n",
		"	if err == nil && open && was.owner == \"\" {\n"},

	// Transactions.
	{"a compare of a range looks at its first key", "", "server/kv/txn.go",
		"		holds = c.holds(v)\n		return holds\n",
		"		holds = c.holds(v)\n		return false\n"},
	{"a read at an old revision is answered with what is there now", "", "server/kv/query.go",
		"	revision, err := m.readable(q.Revision)\n	if err != nil {\n		return page, err\n	}\n",
		"	revision, err := m.readable(q.Revision)\n	if err != nil {\n		return page, err\n	}\n	revision = m.revision\n"},
}
