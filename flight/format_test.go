package flight_test

import (
	"hash/crc32"
	"testing"
)

// The fields of a core and their order are what a recording's version stands for. If
// this sum changes, raise the version in dump.go and set the sum anew.
func TestTheVersionStandsForTheFieldsOfACore(t *testing.T) {
	const version3 = 0xf9ad2a49
	if got := crc32.ChecksumIEEE(lone(t).AppendState(nil)); got != version3 {
		t.Errorf("the state of a core has the sum %#x, in version 3 it is %#x", got, uint32(version3))
	}
}
