// Package load is the work that consensus cores are measured on: three replicas
// in one goroutine, messages handed over as values, storage in memory. Whoever
// implements Node is driven by the same loop, one call at a time, so that what
// differs between two measurements is the core and its adapter alone.
//
// Reading order: Node, Cluster (who drives it), Case (what is done), Measure
// (what it costs). It imports no core, so that a process with another version of
// one can use it too.
package load
