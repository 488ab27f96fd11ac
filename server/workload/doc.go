// Package workload lets several clients read and write a few keys of a cluster at
// once, and records when each call began and ended and what it was told: a
// history for package check/linear. "quorate verify" puts it on the clusters of
// users, the torture test on its own.
//
// All keys are new ones of the run, so that each begins absent. Every call that
// may have been carried out is part of the history; one that was certainly not is
// counted, by reason. Whether the history makes sense is not decided here.
//
// Reading order: load.go (the clients, the last reads), worker.go (one client),
// call.go (one call, and what its error means).
package workload
