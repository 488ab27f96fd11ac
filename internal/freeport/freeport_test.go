package freeport

import (
	"net"
	"slices"
	"testing"
)

func TestAddressesAreFreeAndNotGivenTwice(t *testing.T) {
	some, err := Addresses(20)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", some[0])
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	next.port = (next.port + number - 21) % number // the search comes by the first once more
	more, err := Addresses(20)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(more, some[0]) {
		t.Fatalf("%s is given, and somebody listens there", some[0])
	}
	if !slices.Contains(more, some[1]) {
		t.Fatalf("%v, without %s, which is free", more, some[1])
	}
	slices.Sort(more)
	if len(slices.Compact(more)) != 20 {
		t.Fatalf("one is given twice: %v", more)
	}
}
