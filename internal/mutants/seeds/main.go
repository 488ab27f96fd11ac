// Command seeds is the trial of a broken library.
package main

import (
	"github.com/quorate-db/quorate/internal/mutants/trial"
	"github.com/quorate-db/quorate/sim"
)

func main() { trial.Main(sim.Setup{}) }
