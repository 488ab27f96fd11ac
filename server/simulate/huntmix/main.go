package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

func main() {
	first := flag.Uint64("first", 1, "")
	count := flag.Uint64("count", 500, "")
	flag.Parse()
	debug.SetGCPercent(400)
	for seed := *first; seed < *first+*count; seed++ {
		p := sim.Draw(seed, sim.Limits{})
		switch seed % 4 {
		case 0:
			p.Guests = sim.Guests{Tenants: 3}
		case 1:
			p.Guests = sim.Guests{Users: 3, Tenants: 1}
		case 2:
			p.Guests = sim.Guests{Tenants: 2, Users: 2, Quota: 1000 + int64(seed%9000)}
		}
		r, err := sim.Execute(p, sim.Setup{Store: simulate.New})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if seed%50 == 0 {
			fmt.Println("at", seed, r.Counts)
		}
		if r.Err != nil {
			fmt.Printf("FOUND %d %v\n%s", seed, r.Err, p.Encode())
			small := sim.Shrink(r, sim.Setup{Store: simulate.New}, 60)
			fmt.Printf("SMALL %d %v\n%s", seed, small.Err, small.Plan.Encode())
		}
	}
}
