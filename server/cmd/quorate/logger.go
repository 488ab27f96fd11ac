package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/quorate-db/quorate/server/node"
)

// newLogger writes where it is told to, from a level on: lines for a person, if w is a
// terminal or the format says console, and JSON if not. It is to be closed.
func newLogger(w io.Writer, cfg node.Log) (*slog.Logger, func(), error) {
	var to []io.Writer
	var files []*os.File
	done := func() {
		for _, f := range files {
			_ = f.Close() // all that was said went out with each line
		}
	}
	for _, name := range cfg.Outputs {
		switch name {
		case "default", "stderr":
			to = append(to, w)
		case "stdout":
			to = append(to, os.Stdout)
		default:
			f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				done()
				return nil, nil, usagef("--log-outputs: %w", err)
			}
			to, files = append(to, f), append(files, f)
		}
	}
	console := cfg.Format == "console" || cfg.Format == "" && len(to) == 1 && isTerminal(to[0])
	out := io.MultiWriter(to...)
	if console {
		return slog.New(&lines{w: out, mu: new(sync.Mutex), least: cfg.Level}), done, nil
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: cfg.Level})), done, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// lines is a slog.Handler for people: time of day, message, then the attributes.
type lines struct {
	w      io.Writer
	mu     *sync.Mutex // one line at a time; shared by all handlers of one writer
	least  slog.Level
	prefix string // of attribute names, from WithGroup
	fixed  string // what WithAttrs has said already
}

func (h *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

func (h *lines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Format("15:04:05 "))
	if r.Level != slog.LevelInfo {
		b.WriteString(r.Level.String() + ": ")
	}
	b.WriteString(r.Message + h.fixed)
	r.Attrs(func(a slog.Attr) bool {
		h.attr(&b, h.prefix, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h *lines) attr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			h.attr(b, prefix, inner)
		}
		return
	}
	text := v.String()
	if strings.ContainsAny(text, " \t\n\"=") {
		text = strconv.Quote(text)
	}
	fmt.Fprintf(b, " %s%s=%s", prefix, a.Key, text)
}

func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	var b strings.Builder
	for _, a := range attrs {
		h.attr(&b, h.prefix, a)
	}
	next.fixed += b.String()
	return &next
}

func (h *lines) WithGroup(name string) slog.Handler {
	next := *h
	next.prefix += name + "."
	return &next
}
