// Command raft36 does for version 3.6 of etcd's core what ../core does for 3.7. Go
// links one version of a module into a program, so this is another program, and a
// module of its own. ../core starts it and tells it what to measure.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/quorate-db/quorate/bench/core/load"
)

func main() {
	runtime.GOMAXPROCS(1) // as in ../core
	if err := load.Serve(os.Stdin, os.Stdout, newEtcd); err != nil {
		fmt.Fprintln(os.Stderr, "raft36:", err)
		os.Exit(1)
	}
}
