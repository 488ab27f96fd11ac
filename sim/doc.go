// Package sim runs whole clusters in one thread: the real hosts, with the real
// core, engine, log, snapshot store, framing and state machine, in a world in which
// time, chance, disks and the network are simulated. A seed decides everything
// that happens, so that what went wrong once goes wrong every time.
//
// Only the seams are other than in production: env.Env (a clock that moves when
// nothing else can happen; goroutines as coroutines, of which one runs at a
// time), vfs.FS (files in memory, which forget, tear and fail), and
// quorate.Network (frames that are lost, late, doubled or out of order). No rule
// of Raft, and none of the host's, has a second copy here.
//
// A run has three phases. In the first, faults happen as its plan says; what must
// never happen is checked at every step (judge.go). Then the faults stop, and the
// cluster must come to rest: one leader, every client answered, equal logs and
// states. In the third, where groups may sleep, they do, and lose a leader: the
// others must notice (succession.go). At the end, what the clients saw must be
// linearizable.
//
// # Reading order
//
// world.go and task.go (time, and who runs), clock.go, disk.go, network.go, door.go
// (the seams), node.go (a host and its machine), store.go and client.go (what is
// replicated, and who uses it), watchable.go and watcher.go (who is told what happens),
// judge.go, ghost.go and chronicle.go (what must hold), plan.go and nemesis.go
// (what goes wrong, and when), run.go and conclude.go (all of it together).
package sim
