// Command seeds is the trial of a broken server: it runs the real key-value store.
package main

import (
	"github.com/quorate-db/quorate/internal/mutants/trial"
	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

func main() { trial.Main(sim.Setup{Store: simulate.New}) }
