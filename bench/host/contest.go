package main

import (
	"context"
	"encoding/json"
	"slices"
)

// load is what is asked of a contestant: so many groups, so many clients.
type load struct{ groups, clients int }

// figures are what was measured: costs[load][contestant][round]. Ours is the
// first contestant.
type figures struct {
	who   []string
	loads []load
	costs map[load][][]cost
}

// contest has all contestants carry all loads, so many rounds of it. They take
// turns, each round another one first: the machine may be slow for a while, but
// then for all of them.
func contest(ctx context.Context, who []string, o options) (*figures, error) {
	f := &figures{who: who, loads: o.loads, costs: map[load][][]cost{}}
	for _, l := range o.loads {
		f.costs[l] = make([][]cost, len(who))
	}
	for round := range o.rounds {
		for _, groups := range f.groups() {
			for turn := range who {
				if err := f.turn(ctx, (round+turn)%len(who), groups, o); err != nil {
					return nil, err
				}
			}
		}
	}
	return f, nil
}

// groups are the numbers of groups among the loads.
func (f *figures) groups() (all []int) {
	for _, l := range f.loads {
		if !slices.Contains(all, l.groups) {
			all = append(all, l.groups)
		}
	}
	return all
}

// turn has one contestant carry all loads on so many groups.
func (f *figures) turn(ctx context.Context, who, groups int, o options) error {
	t := task{Who: f.who[who], Groups: groups, Warm: o.warm, Window: o.window, Profiles: o.profiles}
	for _, l := range f.loads {
		if l.groups == groups {
			t.Clients = append(t.Clients, l.clients)
		}
	}
	clients := t.Clients
	return ask(ctx, o.dir, t, func(results *json.Decoder) error {
		var c cost
		if err := results.Decode(&c); err != nil {
			return err
		}
		l := load{groups, clients[0]}
		f.costs[l][who] = append(f.costs[l][who], c)
		clients = clients[1:]
		return nil
	})
}

// median is the middle one of a figure's rounds.
func (f *figures) median(l load, who int, figure func(cost) float64) float64 {
	var values []float64
	for _, c := range f.costs[l][who] {
		values = append(values, figure(c))
	}
	return middle(values)
}

// ratio is the middle one of the ratios, round by round, of us and a peer.
func (f *figures) ratio(l load, peer int, figure func(cost) float64) float64 {
	var values []float64
	for round, c := range f.costs[l][0] {
		values = append(values, figure(c)/figure(f.costs[l][peer][round]))
	}
	return middle(values)
}

// hardest is the ratio to the peer beside which we look worst.
func (f *figures) hardest(l load, of measure) float64 {
	worst := f.ratio(l, 1, of.figure)
	for peer := 2; peer < len(f.who); peer++ {
		if ratio := f.ratio(l, peer, of.figure); of.better(worst, ratio) {
			worst = ratio
		}
	}
	return worst
}

func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// measure is one figure of a cost and which way is good.
type measure struct {
	name   string
	figure func(cost) float64
	more   bool // is better
}

func (m measure) better(a, b float64) bool { return a > b == m.more }

var (
	cpuOf  = measure{"cpu", func(c cost) float64 { return c.CPU }, false}
	rateOf = measure{"rate", func(c cost) float64 { return c.Rate }, true}
	p50Of  = measure{"p50", func(c cost) float64 { return c.P50 }, false}
	p99Of  = measure{"p99", func(c cost) float64 { return c.P99 }, false}
	memOf  = measure{"memory", func(c cost) float64 { return c.Memory }, false}
)
