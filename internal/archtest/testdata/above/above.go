// Package above waits, prints and shows the order of maps. A want comment says
// what the check has to say about its line.
package above

import (
	"fmt"
	"maps"
	"slices"
)

func waits(in chan int) { // want "a channel"
	go waits(nil) // want "a go statement"
	in <- 1       // want "a send on a channel"
	<-in          // want "a receive from a channel"
	select {}     // want "a select"
}

func prints() {
	fmt.Println("hello") // want "fmt.Println"
	println("hello")     // want "the host logs"
	_ = fmt.Sprint("hello")
}

type local struct{}

func (local) Println() {}

func shadows() {
	fmt := local{}
	fmt.Println()
	println := func() {}
	println()
}

type table map[int]string

func order[M ~map[K]V, K comparable, V any](t table, m M, s []int) {
	for k := range t { // want "ranges over a map"
		_ = k
	}
	for k := range m { // want "ranges over a map"
		_ = k
	}
	for range t {
	}
	for i := range s {
		_ = i
	}
	_ = slices.Collect(maps.Keys(t)) // want "calls maps.Keys"
	_ = slices.Sorted(maps.Keys(t))
	//order: a count is the same in any order
	for k := range t {
		_ = k
	}
	for k := range t { //order: so is this
		_ = k
	}
	//order: nothing is excused here // want "without a loop"
}
