package flight_test

import (
	"hash/crc32"
	"testing"
)

// The fields of a core and their order are what a recording's version stands for. If
// this sum changes, raise the version in dump.go and set the sum anew.
func TestTheVersionStandsForTheFieldsOfACore(t *testing.T) {
	const version1 = 0x81a9903e
	if got := crc32.ChecksumIEEE(lone(t).AppendState(nil)); got != version1 {
		t.Errorf("the state of a core has the sum %#x, in version 1 it is %#x", got, uint32(version1))
	}
}
