// Command wal measures how long a synced append of 4 KiB takes in our log and, in
// turns on the same disk, in files as the logs of others write them: one that grows,
// with fsync and with fdatasync, and one that is allocated beforehand, with
// fdatasync, as etcd has it; in one that is written over and over, which is the least that
// the disk allows; and in our log in the sync mode O_DSYNC, where there is one. It prints the
// times and a line for each goal.
//
//	make bench-wal
//
// Ours encodes, checksums and frames what it writes, compacts, and goes from segment
// to segment, with the default settings; the others write bytes and sync them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/vfs"
)

// batchBytes is what one append makes durable.
const batchBytes = 4096

// options are how much is measured.
type options struct {
	dir    string
	rounds int
	window time.Duration // of one contestant in one round
	age    int           // bytes that ours has written before, so that its files are used ones
}

func main() {
	o := options{age: 128 << 20}
	flag.StringVar(&o.dir, "dir", "", "`directory` for the files, on the disk that is to be measured; the system's for temporary files if empty")
	flag.IntVar(&o.rounds, "rounds", 15, "how often everything is measured; medians are printed")
	flag.DurationVar(&o.window, "window", 300*time.Millisecond, "how long each is measured at a time")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "wal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, o options) (err error) {
	if o.rounds < 1 || o.window <= 0 {
		return errors.New("-rounds must be at least 1, and -window more than nothing")
	}
	dir, err := os.MkdirTemp(o.dir, "quorate-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all, err := open(dir, o.age)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	seen, err := measure(ctx, all, o)
	if err != nil {
		return err
	}
	return report(w, all, seen)
}

// contestant is a way to make bytes durable.
type contestant struct {
	name   string
	append func() error
	close  func() error
}

// Places of those that goals are about.
const (
	ours      = 0
	allocated = 1
)

func open(dir string, age int) (all []contestant, err error) {
	log, err := openLog(filepath.Join(dir, "ours"), "")
	if err != nil {
		return nil, err
	}
	waits, err := openLog(filepath.Join(dir, "ours-waits"), vfs.DSync)
	if err != nil {
		return nil, errors.Join(err, log.close())
	}
	if err := errors.Join(log.grow(age), waits.grow(age)); err != nil {
		return nil, errors.Join(err, log.close(), waits.close())
	}
	return []contestant{
		ours:      {"our log", log.append, log.close},
		allocated: file{path: filepath.Join(dir, "allocated"), sync: dataSync, allocate: segmentBytes}.contestant("allocated file, " + dataSyncName),
		2:         file{path: filepath.Join(dir, "growing-data"), sync: dataSync}.contestant("growing file, " + dataSyncName),
		3:         file{path: filepath.Join(dir, "growing"), sync: (*os.File).Sync}.contestant("growing file, fsync"),
		4:         file{path: filepath.Join(dir, "written"), sync: dataSync, over: true}.contestant("the least: written file, " + dataSyncName),
		5:         {"our log, " + string(waits.log.Status().SyncMode), waits.append, waits.close},
	}, nil
}

// times are those of each round.
type times struct{ p50, p99 []time.Duration }

// measure has all contestants append for a window, so many rounds of it, each round
// another one first.
func measure(ctx context.Context, all []contestant, o options) ([]times, error) {
	seen := make([]times, len(all))
	for round := range o.rounds {
		for turn := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			i := (round + turn) % len(all)
			took, err := window(all[i], o.window)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			seen[i].p50 = append(seen[i].p50, took[len(took)/2])
			seen[i].p99 = append(seen[i].p99, took[len(took)*99/100])
		}
	}
	return seen, nil
}

// window returns how long each append took, the shortest first. The first one is
// left out: the contestant before may have left something to the disk.
func window(c contestant, length time.Duration) (took []time.Duration, err error) {
	if err := c.append(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(length); len(took) == 0 || time.Now().Before(end); {
		begun := time.Now()
		if err := c.append(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took, nil
}

func report(w io.Writer, all []contestant, seen []times) error {
	fmt.Fprintf(w, "%d cores, %s, %s/%s\n\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "Medians of %d rounds: the time of a synced append of %d B in us, and the median of the rounds' ratios of ours to the line's.\n\n",
		len(seen[ours].p50), batchBytes)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50\tp99\tp50 of\tp99 of\t")
	for i, c := range all {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t\n", c.name, micro(middle(seen[i].p50)), micro(middle(seen[i].p99)),
			ratio(seen[ours].p50, seen[i].p50), ratio(seen[ours].p99, seen[i].p99))
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	value := ratio(seen[ours].p50, seen[allocated].p50)
	goal.AtMost(w, "wal_append_p50_ratio", value, 0.6)
	goal.AtMost(w, "wal_append_p50_ratio_stretch", value, 0.4)
	return nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// ratio is the middle one of the rounds' ratios.
func ratio(us, them []time.Duration) float64 {
	var each []float64
	for round := range us {
		each = append(each, float64(us[round])/float64(them[round]))
	}
	return middle(each)
}

func middle[T time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
