package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-db/quorate/internal/goal"
)

// How the store is filled: with values that cannot be compressed, of which both
// servers compact the log away while small ones follow them.
const (
	blockBytes     = 64 << 10
	fillers        = 16
	snapshotCount  = 1000
	catchUpEntries = snapshotCount / 2
	smallWrites    = 2 * snapshotCount
)

// transfer is what it took to bring a new member up.
type transfer struct {
	seconds          float64 // from its start until it had everything; zero: it never had
	cpu              float64 // seconds of all four meanwhile
	leader, newcomer float64 // the most memory that either has held meanwhile, MB
}

type transfers map[string][]transfer

func newMember(ctx context.Context, o options, out io.Writer) error {
	seen := transfers{}
	err := o.inTurns(func(name string) (err error) {
		flags := []string{"--snapshot-count", strconv.Itoa(snapshotCount), "--snapshot-catchup-entries", strconv.Itoa(catchUpEntries)}
		if o.profiles != "" {
			flags = append(flags, "--enable-pprof")
		}
		c, err := start(ctx, o, name, flags...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		t, err := c.transfer(ctx, o, name, flags)
		if errors.Is(err, errNotThere) {
			fmt.Fprintf(out, "%s: %v\n\n", name, err)
			err = nil
		}
		seen[name] = append(seen[name], t)
		return err
	})
	if err == nil {
		seen.print(out, o)
	}
	return err
}

// transfer fills the cluster and measures how a fourth node comes to have it all.
func (c *cluster) transfer(ctx context.Context, o options, name string, more []string) (t transfer, err error) {
	blocks := o.snapshotMB << 20 / blockBytes
	leader, err := c.settled(ctx)
	if err != nil {
		return t, err
	}
	client, err := connect(c.endpoints[leader])
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := fillBlocks(ctx, client, blocks); err != nil {
		return t, err
	}
	if leader, err = c.settled(ctx); err != nil { // it may have changed under the load
		return t, err
	}
	if err := invite(ctx, client, c.url(2*replicas+1)); err != nil {
		return t, err
	}
	last, err := client.Get(ctx, block(0))
	if err != nil {
		return t, err
	}
	if err := c.forgetPeak(leader); err != nil {
		return t, err
	}
	before, err := c.usage()
	if err != nil {
		return t, err
	}
	flags := append(c.flags(name, replicas, replicas+1, "--initial-cluster-state", "existing"), more...)
	if name == nameOurs {
		flags = append(flags, "--join", c.endpoints[leader])
	}
	begun := time.Now()
	if err := c.add(ctx, replicas, flags); err != nil {
		return t, err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- c.profile(ctx, o.profiles, name, "new member", o.window) }()
	if err := caughtUp(ctx, c.endpoints[replicas], last.Header.Revision); err != nil {
		return t, fmt.Errorf("%w; it says: %s", err, c.complaint(replicas))
	}
	t.seconds = time.Since(begun).Seconds()
	after, err := c.usage()
	if err = errors.Join(err, <-profiled); err != nil {
		return t, err
	}
	t.cpu = (after.cpu - before.cpu).Seconds()
	got, err := readOwn(ctx, c.endpoints[replicas], "block-", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err == nil && got.Count != int64(blocks) {
		err = fmt.Errorf("the new member has %d of %d blocks", got.Count, blocks)
	}
	if err != nil {
		return t, err
	}
	if t.leader, err = c.peak(leader); err == nil {
		t.newcomer, err = c.peak(replicas)
	}
	return t, err
}

// invite adds a learner. etcd refuses that until its members have known each other for
// some seconds.
func invite(ctx context.Context, client *clientv3.Client, peer string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := client.MemberAddAsLearner(ctx, []string{peer})
		if err == nil || !errors.Is(err, rpctypes.ErrUnhealthy) || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func block(i int) string { return fmt.Sprintf("block-%08d", i) }

// fillBlocks writes the blocks, and then so many small values that no log holds
// the blocks any more.
func fillBlocks(ctx context.Context, client *clientv3.Client, blocks int) error {
	failed := make([]error, fillers)
	var all sync.WaitGroup
	for w := range fillers {
		all.Go(func() {
			random := rand.NewChaCha8([32]byte{byte(w)})
			value := make([]byte, blockBytes)
			for i := w; i < blocks && failed[w] == nil; i += fillers {
				_, _ = random.Read(value) // it never fails
				_, failed[w] = client.Put(ctx, block(i), string(value))
			}
			for i := w; i < smallWrites && failed[w] == nil; i += fillers {
				_, failed[w] = client.Put(ctx, key(w), "small")
			}
		})
	}
	all.Wait()
	return first(failed)
}

var errNotThere = errors.New("the new member has not come up")

// caughtUp returns when a node has come to a revision.
func caughtUp(ctx context.Context, endpoint string, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		got, err := readOwn(ctx, endpoint, key(0))
		if err == nil && got.Header.Revision >= revision {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w in %v: %w", errNotThere, patience, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readOwn asks a node for what it has by itself, once it listens: a client that is
// refused waits for a second before it tries again.
func readOwn(ctx context.Context, endpoint, key string, how ...clientv3.OpOption) (got *clientv3.GetResponse, err error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	client, err := connect(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	return client.Get(ctx, key, append(how, clientv3.WithSerializable())...)
}

// forgetPeak has the kernel count the most memory that a node has held from now on
// (proc(5), clear_refs).
func (c *cluster) forgetPeak(i int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", c.processes[i].Process.Pid), []byte("5"), 0)
}

// peak is the most memory that a node has held, in MB. It counts the pages of files
// that the node has mapped, as etcd does with its store.
func (c *cluster) peak(i int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.processes[i].Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("a server has ended: %w", err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(after, " kB")
	kilobytes, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	return kilobytes * 1024 / 1e6, err
}

func (t transfers) median(name string, of func(transfer) float64) float64 {
	var all []float64
	for _, one := range t[name] {
		if one.seconds > 0 {
			all = append(all, of(one))
		}
	}
	return median(all)
}

func (t transfers) print(out io.Writer, o options) {
	fmt.Fprintf(out, "A new member of three that hold %d MiB, whose logs no longer do: from its start until it has everything;\n"+
		"the most memory that it and the leader held meanwhile. Medians of %d rounds, without those in which it did not come up.\n\n", o.snapshotMB, o.rounds)
	fmt.Fprintf(out, "| | s | MB/s | CPU s of all | leader MB | newcomer MB |\n|---|---|---|---|---|---|\n")
	for _, name := range contestants {
		if !slices.ContainsFunc(t[name], func(t transfer) bool { return t.seconds > 0 }) {
			continue
		}
		took := t.median(name, func(t transfer) float64 { return t.seconds })
		fmt.Fprintf(out, "| %s | %.2f | %.0f | %.2f | %.0f | %.0f |\n", name, took, float64(o.snapshotMB<<20)/1e6/took,
			t.median(name, func(t transfer) float64 { return t.cpu }),
			t.median(name, func(t transfer) float64 { return t.leader }), t.median(name, func(t transfer) float64 { return t.newcomer }))
	}
	fmt.Fprintln(out)
	if len(t) < len(contestants) {
		return
	}
	var ratios []float64
	for i, ours := range t[nameOurs] {
		if etcd := t[nameEtcd][i]; ours.seconds > 0 && etcd.seconds > 0 {
			ratios = append(ratios, ours.seconds/etcd.seconds)
		}
	}
	if len(ratios) == 0 {
		goal.Unknown(out, "snapshot_time_ratio", 0.6)
		goal.Unknown(out, "snapshot_time_ratio_stretch", 0.4)
		return
	}
	goal.AtMost(out, "snapshot_time_ratio", median(ratios), 0.6)
	goal.AtMost(out, "snapshot_time_ratio_stretch", median(ratios), 0.4)
}
