//go:build !race

package quorate_test

const crowdSize, busyCrowdSize = 300, 2000
