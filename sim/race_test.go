//go:build race

package sim_test

// slow says that the race detector watches, which takes ten times as long.
const slow = true
