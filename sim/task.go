package sim

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/quorate-db/quorate/env"
)

// process is a node's program, which can die. Its goroutines
// are tasks, of which one runs at a time, until it waits.
type process struct {
	world *world
	name  string
	life  uint64 // counts its starts
	alive bool
	rng   *rand.Rand
	clock clock
	tasks []*task // that are not over
	hot   int     // which of them ran last

	frozen bool    // it is not given the processor
	late   []event // events that came meanwhile

	fuse  int    // at so many waits from now the process dies; 0: it does not
	fused func() // called when it has
}

// task is one goroutine of a process: it goes on only when it is resumed, and then
// runs until it waits.
type task struct {
	who    *process
	main   func()
	thread *thread // nil: it has not begun
	over   bool

	timer *timer
	on    [3]<-chan struct{}
	got   int // which of them came
}

// thread is a coroutine that runs a task, and another one when that is over: most
// tasks are short, and a new coroutine for each would first have to grow its stack.
type thread struct {
	resume func() (struct{}, bool)
	cancel func()
	yield  func(struct{}) bool
	task   *task
	nap    timer // for whoever sleeps
}

// thread returns one that has nothing to do.
func (w *world) thread() *thread {
	if last := len(w.idle) - 1; last >= 0 {
		t := w.idle[last]
		w.idle = w.idle[:last]
		return t
	}
	t := &thread{}
	t.resume, t.cancel = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		for t.task.run(); yield(struct{}{}); t.task.run() {
		}
	})
	return t
}

// end lets go of the threads; all processes are dead.
func (w *world) end() {
	for _, t := range w.idle {
		t.cancel()
	}
	w.idle = nil
}

// killed unwinds the tasks of a process that has died.
type killed struct{}

// start begins a new life of the process, whose first task runs main.
func (p *process) start(main func()) {
	p.life++
	p.alive, p.frozen, p.late, p.fuse, p.fused = true, false, nil, 0, nil
	p.Go(main)
	p.settle()
}

// kill ends the process where it stands. Its tasks unwind; nothing that they still
// do has an effect, since whatever they could reach asks who is alive.
func (p *process) kill() {
	if !p.alive {
		return
	}
	p.alive, p.frozen, p.late = false, false, nil
	tasks := p.tasks
	p.tasks = nil
	for _, t := range tasks {
		if t != p.world.running && t.thread != nil {
			t.thread.cancel()
		}
	}
}

// Go implements [env.Runner].
func (p *process) Go(f func()) {
	if !p.alive {
		panic(killed{})
	}
	p.tasks = append(p.tasks, &task{who: p, main: f})
}

// run is all that a task does in its thread.
func (t *task) run() {
	defer func() {
		t.over = true
		if r := recover(); r != nil && r != (killed{}) {
			t.who.world.running = nil
			t.who.world.fail(&Panic{r, stack()})
		}
	}()
	t.main()
}

// Yield implements env.Runner. What is ready goes on in an order that the seed
// decides anyway.
func (p *process) Yield() {}

// Wait implements [env.Runner].
func (p *process) Wait(on env.Timer, a, b, c <-chan struct{}) int {
	t := p.world.running
	if t == nil || t.who != p || !p.alive {
		if !p.alive {
			panic(killed{})
		}
		panic(fmt.Sprintf("sim: %s waits in no task of its own", p.name))
	}
	if p.fuse > 0 {
		if p.fuse--; p.fuse == 0 {
			p.kill()
			panic(killed{})
		}
	}
	t.timer, _ = on.(*timer)
	t.on = [3]<-chan struct{}{a, b, c}
	if !t.ready() && !t.thread.yield(struct{}{}) {
		panic(killed{})
	}
	t.timer, t.on = nil, [3]<-chan struct{}{}
	return t.got
}

// ready reports whether the task can go on, and takes what it waited for.
func (t *task) ready() bool {
	if t.thread == nil {
		return true
	}
	if t.timer != nil && t.timer.fired {
		t.timer.fired, t.got = false, 0
		return true
	}
	for i, c := range t.on {
		if c == nil {
			continue
		}
		select {
		case <-c:
			t.got = i + 1
			return true
		default:
		}
	}
	return false
}

// settle runs the process's tasks until all of them wait. Which of those that can
// go on does so first is drawn, a quarter of the times; it begins with the one that
// ran last otherwise, which is mostly the only one.
func (p *process) settle() {
	if p.world.running != nil {
		panic("sim: a process was started from within a task")
	}
	at, idle := p.hot, 0
	if draw := p.rng.Uint32(); draw&3 == 0 {
		at = int(draw >> 2)
	}
	for ; p.alive && idle < len(p.tasks); at++ {
		at %= len(p.tasks)
		t := p.tasks[at]
		if !t.ready() {
			idle++
			continue
		}
		p.run(t)
		p.hot, idle = at, 0
		if t.over {
			p.bury(t)
		}
	}
}

func (p *process) run(t *task) {
	if t.thread == nil {
		t.thread = p.world.thread()
		t.thread.task = t
	}
	p.world.running = t
	t.thread.resume()
	p.world.running = nil
	if t.over {
		p.world.idle = append(p.world.idle, t.thread)
	}
	if burnt := p.fused; burnt != nil && !p.alive {
		p.fused = nil
		burnt()
	}
}

// bury forgets a task that is over.
func (p *process) bury(t *task) {
	if at := slices.Index(p.tasks, t); at >= 0 {
		p.tasks = slices.Delete(p.tasks, at, at+1)
	}
}

// freeze takes the processor away, as SIGSTOP does; thaw gives it back. What came
// meanwhile is dealt with then, in its order.
func (p *process) freeze() { p.frozen = p.alive }

func (p *process) thaw() {
	if !p.frozen {
		return
	}
	p.frozen = false
	late := p.late
	p.late = nil
	for i := range late {
		if p.alive {
			late[i].happen()
			p.settle()
		}
	}
}
