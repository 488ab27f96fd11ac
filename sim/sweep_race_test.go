//go:build race

package sim

// raced: coroutines take ten times as long under the race detector.
const raced = true
