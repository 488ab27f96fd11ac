package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/node"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{usagef("wrong"), exitUsage},
		{&client.Error{Code: wire.NotFound}, exitNotFound},
		{&client.Error{Code: wire.MemberUnknown}, exitNotFound},
		{&client.Error{Code: wire.PreconditionFailed}, exitPrecondition},
		{&client.Error{Code: wire.NoLeader}, exitUnavailable},
		{&client.Error{Code: wire.Busy}, exitUnavailable},
		{fmt.Errorf("%w: nobody", client.ErrUnavailable), exitUnavailable},
		{&client.Error{Code: wire.OutcomeUnknown}, exitUnknown},
		{&client.Error{Code: wire.ValueTooLarge}, exitFailed},
		{errors.New("anything"), exitFailed},
		// Doubt comes first, whatever else is wrapped.
		{fmt.Errorf("%w: %w", client.ErrUnavailable, client.ErrUnknownOutcome), exitUnknown},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestMessageIsOneLine(t *testing.T) {
	got := message(rootCommand(), errors.New("quorate: two\n\tlines"), exitFailed)
	if got != "two lines" {
		t.Errorf("message is %q", got)
	}
}

func TestLinesForPeople(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&lines{w: &out, mu: new(sync.Mutex)})
	log.Debug("not shown")
	log.With("node", "a").WithGroup("raft").Warn("lost", "leader", 7, "why", "no answer", slog.Group("at", "term", 3))
	line := out.String()
	if _, rest, ok := strings.Cut(line, " "); !ok || rest != "WARN: lost node=a raft.leader=7 raft.why=\"no answer\" raft.at.term=3\n" {
		t.Errorf("wrote %q", line)
	}
}

// A log goes where it is told to, from its level on.
func TestWhereTheLogGoes(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "a.log")
	for range 2 { // the second one goes on where the first has ended
		log, done, err := newLogger(&out, node.Log{Level: slog.LevelWarn, Outputs: []string{"stderr", file}})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("not told")
		log.Warn("told")
		done()
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != out.String() || strings.Count(out.String(), `"msg":"told"`) != 2 || strings.Contains(out.String(), "not told") {
		t.Errorf("the file has %q (%v), standard error %q", text, err, &out)
	}
	if _, _, err := newLogger(&out, node.Log{Outputs: []string{t.TempDir()}}); exitCode(err) != exitUsage {
		t.Errorf("a directory for a file: %v", err)
	}
}

// Who does not answer must not shift what the others say.
func TestStatusTableIsAligned(t *testing.T) {
	up := &wire.Status{Name: "c", ID: 3, Role: "leader", Term: 2, Leader: 3}
	var out bytes.Buffer
	r := remote{output: "table"}
	statuses := []answered{{Endpoint: "http://a:1"}, {Endpoint: "http://long-name:1", Status: up}}
	if err := r.show(&out, statuses, func(w io.Writer) { statusTable(w, statuses, true) }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for head, cell := range map[string]string{"TERM": "2", "LEADER": "0000000000000003", "LAST": "0"} {
		if at := strings.Index(lines[0], head); !strings.HasPrefix(lines[1][at:], "-") || !strings.HasPrefix(lines[2][at:], cell) {
			t.Errorf("%s is not above its cells:\n%s", head, out.String())
		}
	}
}

func TestPrintable(t *testing.T) {
	for value, want := range map[string]string{
		"plain":      "plain",
		"键 a b":      "键 a b",
		"two\nlines": `"two\nlines"`,
		"tab\t":      `"tab\t"`,
		"\x1b[31m":   `"\x1b[31m"`,
		"\xff":       `"\xff"`,
	} {
		if got := printable([]byte(value)); got != want {
			t.Errorf("%q is shown as %s, want %s", value, got, want)
		}
	}
}
