// Package bench measures quorate and its peers on the same work, side by side,
// in one run: the core per entry (core), a synced append of the log (wal), the durable
// library per operation, idle groups, recovery and growth (host), and the server per
// request, when its leader fails and when a member joins (server). Figures of one machine are good as ratios
// within a run and as nothing else. What an hour of load and faults leaves of our own
// host is in soak.
//
// It is a module of its own, so that who embeds the library or runs the server
// never downloads the systems that they are compared with.
package bench
