// Package torture holds the torture test: it builds the real program, runs
// clusters of 3 and of 5 nodes as real processes, each on a network of its own and
// on real files, strikes them with faults drawn from a seed, and puts a load on
// them meanwhile. In the end no acknowledged write may be lost, all that the
// clients saw must be linearizable, and all nodes must have the same state.
//
// The simulator finds more and repeats it; this finds what the simulator cannot
// know: what the operating system really does.
//
// Reading order: torture_test.go (one run), judge_test.go (what must hold in the
// end), faults_test.go (what is done to the nodes), then cluster_test.go,
// node_test.go, network_test.go, disk_test.go, and main_test.go (namespaces that
// leave nothing behind). docs/torture.md says how to run it and what it needs.
package torture
