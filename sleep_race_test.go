//go:build race

package quorate_test

// crowdSize is smaller here: among many goroutines of a bubble Go's race detector may
// itself crash (golang/go issue 78156).
const crowdSize, busyCrowdSize = 30, 30
