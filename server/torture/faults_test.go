//go:build linux

package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tormentor strikes a cluster. Two of its hands work at the same time, one on the
// processes and disks, one on the network, so that their faults overlap; each
// heals what it struck before it strikes again.
type tormentor struct {
	cluster *cluster
	seed    uint64
	begin   time.Time
	failed  func(error)

	mu     sync.Mutex
	diary  io.Writer // one line for each fault
	counts map[string]int
}

// hand makes one fault after the other. What it draws follows from the seed; when
// that happens, and who leads then, does not.
type hand struct {
	*tormentor
	rng    *rand.Rand
	faults []fault
}

// fault is something that can be done to a cluster: at once, until healed. To
// strike says what was done, for people.
type fault struct {
	kind   string
	often  int // compared with the others
	strike func(h *hand, victims []*node) (string, error)
	heal   func(h *hand, victims []*node) error
}

// run strikes until the context ends, and returns when all is healed.
func (t *tormentor) run(ctx context.Context) {
	hands := []*hand{{tormentor: t, rng: rand.New(rand.NewPCG(t.seed, 1)), faults: t.onProcesses()}}
	if t.cluster.network != nil {
		hands = append(hands, &hand{tormentor: t, rng: rand.New(rand.NewPCG(t.seed, 2)), faults: onNetwork})
	}
	var wg sync.WaitGroup
	for _, h := range hands {
		wg.Go(func() {
			for pause(ctx, h.between(100*time.Millisecond, 3*time.Second)) {
				if err := h.once(ctx); err != nil {
					t.failed(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// once strikes and heals.
func (h *hand) once(ctx context.Context) error {
	f := h.draw()
	victims := h.victims(ctx)
	hold := h.between(100*time.Millisecond, 5*time.Second)
	begun := time.Since(h.begin)
	what, err := f.strike(h, victims)
	if err != nil {
		return fmt.Errorf("%s: %w", f.kind, err)
	}
	pause(ctx, hold) // the end of the run heals at once
	if err := f.heal(h, victims); err != nil {
		return fmt.Errorf("after %s: %w", f.kind, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[f.kind]++
	_, err = fmt.Fprintf(h.diary, "%9.3f s .. %9.3f s  %s %s\n", begun.Seconds(), time.Since(h.begin).Seconds(), f.kind, what)
	return err
}

// also counts what became of a fault.
func (h *hand) also(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[kind]++
}

func (h *hand) draw() fault {
	sum := 0
	for _, f := range h.faults {
		sum += f.often
	}
	at := h.rng.IntN(sum)
	for _, f := range h.faults {
		if at -= f.often; at < 0 {
			return f
		}
	}
	panic("not reached: the sum is that of all")
}

// between draws a time; half as much again is three quarters as likely.
func (h *hand) between(least, most time.Duration) time.Duration {
	d := least
	for d < most && h.rng.IntN(4) > 0 {
		d += d / 2
	}
	return min(d, most)
}

// victims are one node, the leader as likely as another; or some, or, now and then,
// all: a cluster that is down must not have forgotten anything when it comes back.
func (h *hand) victims(ctx context.Context) []*node {
	shuffled := append([]*node(nil), h.cluster.nodes...)
	h.rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	switch k := h.rng.IntN(100); {
	case k < 35:
		return []*node{h.cluster.leader(ctx)}
	case k < 70:
		return shuffled[:1]
	case k < 90:
		return shuffled[:2]
	default:
		return shuffled
	}
}

// onProcesses are the faults of one hand. A node that is not there can neither be
// stopped nor have a full disk, so they take turns.
func (t *tormentor) onProcesses() []fault {
	faults := []fault{
		{"kill", 5, func(_ *hand, victims []*node) (string, error) {
			return each(victims, func(v *node) error { v.kill(); return nil })
		}, func(_ *hand, victims []*node) error {
			_, err := each(victims, (*node).start)
			return err
		}},
		{"stop", 4, func(_ *hand, victims []*node) (string, error) {
			return each(victims, func(v *node) error { return v.signal(syscall.SIGSTOP) })
		}, func(_ *hand, victims []*node) error {
			_, err := each(victims, func(v *node) error { return v.signal(syscall.SIGCONT) })
			return err
		}},
	}
	if last := t.cluster.nodes[len(t.cluster.nodes)-1]; last.disk != nil {
		faults = append(faults, fault{"full-disk", 2, func(*hand, []*node) (string, error) {
			last.starving.Store(true)
			return last.name, last.disk.fill()
		}, func(h *hand, _ []*node) error { return h.feed(last) }})
	}
	return faults
}

// feed makes room on the disk of a node. One that went on is killed in the middle
// of whatever it does about it.
func (h *hand) feed(n *node) error {
	if err := n.disk.empty(); err != nil {
		return err
	}
	if !n.kill() {
		h.also("ended-by-full-disk")
	}
	n.starving.Store(false)
	return n.start()
}

// each does something to all victims and returns their names.
func each(victims []*node, do func(*node) error) (names string, err error) {
	for _, v := range victims {
		names += v.name
		err = errors.Join(err, do(v))
	}
	return names, err
}

// onNetwork are the faults of the other hand. Number 0 of the network is the
// clients.
var onNetwork = []fault{
	{"one-way-cuts", 4, func(h *hand, _ []*node) (string, error) {
		share := 0.1 + 0.4*h.rng.Float64()
		return h.cut(func(from, to int) bool { return from > 0 && to > 0 && h.rng.Float64() < share }), nil
	}, healNetwork},
	{"partition", 4, func(h *hand, victims []*node) (string, error) {
		side := sides(victims[:min(len(victims), len(h.cluster.nodes)-1)])
		return h.cut(func(from, to int) bool { return from > 0 && to > 0 && side[from] != side[to] }), nil
	}, healNetwork},
	{"deaf-nodes", 2, func(h *hand, victims []*node) (string, error) {
		side := sides(victims)
		return h.cut(func(from, to int) bool { return from > 0 && side[to] }), nil
	}, healNetwork},
	{"answers-lost", 2, func(h *hand, victims []*node) (string, error) {
		side := sides(victims)
		return h.cut(func(from, to int) bool { return to == 0 && side[from] }), nil
	}, healNetwork},
	{"delay", 3, func(h *hand, _ []*node) (string, error) {
		delay := h.between(time.Millisecond, election/2)
		h.cluster.network.set(func(_, _ int, l *link) { l.delay, l.jitter = delay, delay })
		return fmt.Sprintf("of %v to %v", delay, 2*delay), nil
	}, healNetwork},
	{"loss", 2, func(h *hand, _ []*node) (string, error) {
		loss := 0.02 + 0.2*h.rng.Float64()
		h.cluster.network.set(func(_, _ int, l *link) { l.loss = loss })
		return fmt.Sprintf("of %.0f %%", 100*loss), nil
	}, healNetwork},
}

// cut cuts the links for which a function says so, and returns which these are.
func (h *hand) cut(is func(from, to int) bool) string {
	name := func(i int) string {
		if i == 0 {
			return "clients"
		}
		return h.cluster.nodes[i-1].name
	}
	var cuts []string
	h.cluster.network.set(func(from, to int, l *link) {
		if l.cut = is(from, to); l.cut {
			cuts = append(cuts, name(from)+">"+name(to))
		}
	})
	return strings.Join(cuts, " ")
}

// sides tells the victims from the others, by number.
func sides(victims []*node) map[int]bool {
	side := map[int]bool{}
	for _, v := range victims {
		side[v.number] = true
	}
	return side
}

func healNetwork(h *hand, _ []*node) error {
	h.cluster.network.heal()
	return nil
}
