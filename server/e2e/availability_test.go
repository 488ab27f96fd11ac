//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pulse writes all the time, and remembers when a write was acknowledged.
type pulse struct {
	nodes []*node
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu    sync.Mutex
	beats []time.Time
}

// probeTime is how long one write of a pulse may take before the next node is
// asked: an outage is measured to about as much.
const probeTime = 20 * time.Millisecond

// startPulse writes through these nodes, in turn where one does not answer.
func startPulse(t *testing.T, nodes []*node) *pulse {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &pulse{nodes: nodes, stop: cancel}
	t.Cleanup(p.end)
	p.wg.Go(func() { p.run(ctx) })
	p.awaitMore(t, 20)
	return p
}

func (p *pulse) run(ctx context.Context) {
	at := 0
	for ctx.Err() == nil {
		if !probe(ctx, p.nodes[at].client) {
			at = (at + 1) % len(p.nodes)
			continue
		}
		p.mu.Lock()
		p.beats = append(p.beats, time.Now())
		p.mu.Unlock()
	}
}

// probe writes once and reports whether that was acknowledged in time.
func probe(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/v1/kv/pulse?timeout=%v", url, probeTime), strings.NewReader("beat"))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

func (p *pulse) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.beats)
}

// awaitMore waits until so many more writes are acknowledged.
func (p *pulse) awaitMore(t *testing.T, count int) {
	t.Helper()
	before := p.count()
	eventually(t, "writes are acknowledged", func() error {
		if got := p.count() - before; got < count {
			return fmt.Errorf("there are %d more, of %d", got, count)
		}
		return nil
	})
}

// end stops the writes.
func (p *pulse) end() {
	p.stop()
	p.wg.Wait()
}

// longest is the longest time between two acknowledged writes.
func (p *pulse) longest() time.Duration {
	var gap time.Duration
	for i := 1; i < len(p.beats); i++ {
		gap = max(gap, p.beats[i].Sub(p.beats[i-1]))
	}
	return gap
}

// How long a cluster is without a leader when the leader dies: the others must
// notice, and then agree on another one.
func TestWritesGoOnAfterALeaderIsKilled(t *testing.T) {
	long(t)
	// The defaults of the server, not of the demo.
	const election = time.Second
	c := startCluster(t, 3, "--heartbeat-interval", "100", "--election-timeout", fmt.Sprint(election.Milliseconds()))
	var gaps []time.Duration
	for range 10 {
		dead := c.leader()
		p := startPulse(t, c.others(dead))
		dead.process.kill()
		// Those that were under way are soon through: after them there has been
		// the gap.
		eventually(t, "another leader", func() error {
			for _, n := range c.others(dead) {
				if s, err := n.status(); err == nil && s.Role == "leader" {
					return nil
				}
			}
			return errors.New("nobody leads")
		})
		p.awaitMore(t, 20)
		p.end()
		gaps = append(gaps, p.longest())
		dead.start()
		dead.awaitReady()
		c.settle()
	}
	t.Logf("longest times without an acknowledged write: %v", gaps)
	goals.report(t, "unavailability_median_election_timeouts", float64(median(gaps))/float64(election))
	c.agree()
}

// A leader that is asked to stop does not leave the others to find out.
func TestSIGTERMHandsLeadershipOver(t *testing.T) {
	c := startCluster(t, 3)
	old := c.leader()
	l := startLoad(c, 4, 250)
	l.awaitAcked(200)
	p := startPulse(t, c.others(old))
	old.stop() // it must exit with 0
	if !strings.Contains(old.log(), `"stopping"`) {
		t.Errorf("%s does not say that it stops", old.name)
	}
	p.awaitMore(t, 20)
	p.end()
	t.Logf("longest time without an acknowledged write: %v, in election timeouts %.2f",
		p.longest(), p.longest().Seconds()/election.Seconds())
	acked, _ := l.wait()

	old.start()
	c.awaitReady()
	c.agree()
	for _, n := range c.nodes {
		if lost := missing(acked, all(t, n.api, loadPrefix)); lost > 0 {
			t.Errorf("%s lacks %d of %d acknowledged keys", n.name, lost, len(acked))
		}
	}
}

// A whole cluster that is stopped at once stops, though nobody is left to take over.
func TestAllNodesStopAtOnce(t *testing.T) {
	c := startCluster(t, 3)
	put(t, persistent(t, c.nodes...), "key", 10, valueSize)
	for _, n := range c.nodes {
		if err := n.process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		if code := n.process.exit(t); code != 0 {
			t.Errorf("%s: exit code %d", n.name, code)
		}
	}
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	c.agree()
	if got := len(all(t, c.nodes[0].api, "key")); got != 10 {
		t.Errorf("%d of 10 keys are there", got)
	}
}
