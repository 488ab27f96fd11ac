package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		mode, value string
		want        Retention
	}{
		{"periodic", "0", Retention{}},
		{"periodic", "8", Retention{For: 8 * time.Hour}},
		{"periodic", "90m", Retention{For: 90 * time.Minute}},
		{"revision", "0", Retention{}},
		{"revision", "1000", Retention{Revisions: 1000}},
	} {
		if got, err := retention(c.mode, c.value); err != nil || got != c.want {
			t.Errorf("%s %s: %+v, %v", c.mode, c.value, got, err)
		}
	}
}

// History is compacted when it is as old as it must be kept, in steps of a tenth; what
// is younger is not.
func TestCompactionByTime(t *testing.T) {
	begin := time.Now()
	p := past{Retention: Retention{For: 10 * time.Minute}}
	var compacted int64
	var did []string
	for second := range 30 * 60 {
		now, revision := begin.Add(time.Duration(second)*time.Second), int64(1+second) // one write each second
		p.note(now, revision)
		if at := p.due(now, revision, compacted); at > 0 {
			compacted = at
			did = append(did, fmt.Sprint(second, ":", at))
		}
		if kept := revision - compacted; kept < 600 && compacted > 0 || kept > 661 {
			t.Fatalf("after %d seconds %d revisions are kept", second, kept)
		}
	}
	if got := strings.Join(did[:3], " "); len(did) != 19 || got != "660:61 720:121 780:181" {
		t.Errorf("compacted %d times: %s", len(did), got)
	}
	// Nothing was written since: there is nothing to compact.
	for minute := 30; minute < 60; minute++ {
		now := begin.Add(time.Duration(minute) * time.Minute)
		p.note(now, 1800)
		if at := p.due(now, 1800, compacted); at > 0 {
			compacted = at
		}
	}
	if compacted != 1800 || p.due(begin.Add(2*time.Hour), 1800, compacted) != 0 {
		t.Errorf("compacted at %d", compacted)
	}
}

func TestCompactionByRevision(t *testing.T) {
	p := past{Retention: Retention{Revisions: 100}}
	for _, c := range []struct{ revision, compacted, want int64 }{
		{1, 0, 0}, {100, 0, 0}, {109, 0, 0}, {110, 0, 10}, {119, 10, 0}, {120, 10, 20}, {1000, 20, 900},
	} {
		if got := p.due(time.Time{}, c.revision, c.compacted); got != c.want {
			t.Errorf("at %d, compacted at %d: %d, want %d", c.revision, c.compacted, got, c.want)
		}
	}
	all := past{}
	if got := all.due(time.Time{}, 1000, 0); got != 0 {
		t.Errorf("with nothing said: %d", got)
	}
}

// A store that is told how much history to keep stays within a quota that all of it
// would pass many times, and nobody has to do anything.
func TestSpaceComesBackByItself(t *testing.T) {
	cfg := member(t, "a", "--quota-backend-bytes=100000", "--auto-compaction-mode=revision", "--auto-compaction-retention=10")
	run(t, cfg).await(Ready)
	c, err := client.New(client.Config{Endpoints: cfg.Client.Listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for n := range 500 {
		for {
			_, err := c.Put(t.Context(), []byte("k"), bytes.Repeat([]byte("x"), 1000))
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "--quota-backend-bytes") {
				t.Fatalf("put %d: %v", n, err)
			}
			time.Sleep(10 * time.Millisecond) // the leader comes round by itself
		}
	}
}
