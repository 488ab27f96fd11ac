//go:build !race

package quorate_test

const crowdSize = 300
