//go:build unix

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// weight is what a node's process holds once garbage is collected.
type weight struct {
	goroutines float64
	heap       float64 // bytes
}

const mib = 1 << 20

// What a node may hold more after something has come over it than before: caches and
// pools fill once.
const (
	moreGoroutines = 10
	moreHeap       = 24 * mib
)

// startWeighed starts one node that can be weighed.
func startWeighed(t *testing.T, flags ...string) *node {
	t.Helper()
	n := newCluster(t, 1, append(flags, "--enable-pprof")...).nodes[0]
	n.start()
	n.awaitReady()
	return n
}

// weigh collects garbage in the node's process and says what is left.
func (n *node) weigh() weight {
	n.t.Helper()
	n.fetch("/debug/pprof/heap?gc=1")
	n.fetch("/debug/pprof/heap?gc=1") // what the first has found to be unused by the second
	w := weight{math.NaN(), math.NaN()}
	lines := bufio.NewScanner(strings.NewReader(n.fetch("/metrics")))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		figure, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			w.goroutines = figure
		case name == "go_memstats_heap_alloc_bytes":
			w.heap = figure
		}
	}
	if math.IsNaN(w.goroutines + w.heap) {
		n.t.Fatal("/metrics does not say how much memory there is in use")
	}
	return w
}

// fetch gets a page on a connection of its own, which leaves nothing behind.
func (n *node) fetch(path string) string {
	n.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(n.client + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		n.t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// recovers waits until the node holds what it held before, and serves.
func (n *node) recovers(before weight, what string) {
	n.t.Helper()
	var now weight
	eventually(n.t, "memory after "+what, func() error {
		now = n.weigh()
		if now.goroutines > before.goroutines+moreGoroutines || now.heap > before.heap+moreHeap {
			return fmt.Errorf("%.0f goroutines and %.1f MiB, before %.0f and %.1f", now.goroutines, now.heap/mib, before.goroutines, before.heap/mib)
		}
		return nil
	})
	goals.report(n.t, what+"_goroutines_left", max(0, now.goroutines-before.goroutines))
	goals.report(n.t, what+"_heap_left_mib", max(0, (now.heap-before.heap)/mib))
	put(n.t, n.api, "still here", 1, valueSize)
}
