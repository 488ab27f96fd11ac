package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Text writes a transcript for people, one line for each event:
//
//	time  node  what happened
//	time  node  rule  what it was about; role, term, log of the node afterwards
//	time  node  -> node, or <- node: a message
//
// Flush it at the end.
type Text struct {
	out *bufio.Writer

	// Messages says whether messages are shown too.
	Messages bool

	// Name says how a node is called; n and its number if nil.
	Name func(raft.NodeID) string
}

// NewText returns a transcript that is written to out.
func NewText(out io.Writer) *Text { return &Text{out: bufio.NewWriter(out)} }

// Flush writes what is still in memory.
func (t *Text) Flush() error { return t.out.Flush() }

func (t *Text) line(at time.Duration, node raft.NodeID, format string, args ...any) {
	who := "--"
	if node != 0 {
		who = t.name(node)
	}
	fmt.Fprintf(t.out, "%11.6fs  %-3s  ", at.Seconds(), who)
	fmt.Fprintf(t.out, format, args...)
	_ = t.out.WriteByte('\n') // Flush tells
}

func (t *Text) name(node raft.NodeID) string {
	if t.Name != nil {
		return t.Name(node)
	}
	return fmt.Sprintf("n%d", node)
}

// Note implements [Transcript].
func (t *Text) Note(at time.Duration, node raft.NodeID, text string) { t.line(at, node, "%s", text) }

// Event implements [Transcript].
func (t *Text) Event(at time.Duration, g raft.GroupID, e *raft.Event, _ *membership.Config, _ raft.Index) {
	var about strings.Builder
	if e.Peer != 0 {
		fmt.Fprintf(&about, " %s", t.name(e.Peer))
	}
	if e.Entry != (raft.EntryID{}) {
		fmt.Fprintf(&about, " %v", e.Entry)
	}
	if g != group {
		fmt.Fprintf(&about, " group %d", g)
	}
	t.line(at, e.Node, "%-4s%-14s %v of term %d, commit %d, log up to %v", e.Rule, about.String(), e.Role, e.Term, e.Commit, e.Last)
}

// Message implements [Transcript].
func (t *Text) Message(at time.Duration, e *codec.Envelope, arrived bool) {
	if !t.Messages {
		return
	}
	m := &e.Message
	if arrived {
		t.line(at, m.To, "<- %s %s", t.name(m.From), describe(m))
	} else {
		t.line(at, m.From, "-> %s %s", t.name(m.To), describe(m))
	}
}

// describe says a message in a few words.
func describe(m *raft.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, term %d", m.Kind, m.Term)
	if m.Kind == raft.AppendEntries {
		fmt.Fprintf(&b, ", %d entries after %v", len(m.Span.Entries), m.Span.Prev)
	}
	if m.Last != (raft.EntryID{}) {
		fmt.Fprintf(&b, ", last %v", m.Last)
	}
	if m.Rejected != (raft.EntryID{}) {
		fmt.Fprintf(&b, ", does not hold %v", m.Rejected)
	}
	if m.Granted {
		b.WriteString(", granted")
	}
	if m.Commit != 0 {
		fmt.Fprintf(&b, ", commit %d", m.Commit)
	}
	if m.Snapshot != nil {
		fmt.Fprintf(&b, ", snapshot %v", m.Snapshot.ID)
	}
	return b.String()
}

// NDJSON writes a trace for programs: one JSON object a line, as docs/formats.md
// describes it. Flush it at the end.
type NDJSON struct {
	out *bufio.Writer
	enc *json.Encoder
	err error
}

// NewNDJSON returns a trace that is written to out.
func NewNDJSON(out io.Writer) *NDJSON {
	w := bufio.NewWriter(out)
	return &NDJSON{out: w, enc: json.NewEncoder(w)}
}

// Flush writes what is still in memory, and returns the first error.
func (t *NDJSON) Flush() error {
	if t.err != nil {
		return t.err
	}
	return t.out.Flush()
}

func (t *NDJSON) write(line any) {
	if t.err == nil {
		t.err = t.enc.Encode(line)
	}
}

// id is an entry as a trace names it.
type id struct {
	Term  raft.Term  `json:"term"`
	Index raft.Index `json:"index"`
}

func idOf(e raft.EntryID) *id {
	if e == (raft.EntryID{}) {
		return nil
	}
	return &id{e.Term, e.Index}
}

// Note implements [Transcript].
func (t *NDJSON) Note(at time.Duration, node raft.NodeID, text string) {
	t.write(struct {
		Type string      `json:"type"`
		At   int64       `json:"at_ns"`
		Node raft.NodeID `json:"node,omitempty"`
		Text string      `json:"text"`
	}{"note", int64(at), node, text})
}

// member is one of a configuration.
type member struct {
	ID      raft.NodeID `json:"id"`
	Role    string      `json:"role"`
	OldRole string      `json:"old_role,omitempty"` // in a joint configuration
}

func membersOf(c *membership.Config) []member {
	list := make([]member, len(c.Members))
	for i, m := range c.Members {
		list[i] = member{ID: m.ID, Role: m.Role.String()}
		if c.Joint() {
			list[i].OldRole = m.Old.String()
		}
	}
	return list
}

// Event implements [Transcript].
func (t *NDJSON) Event(at time.Duration, g raft.GroupID, e *raft.Event, config *membership.Config, index raft.Index) {
	t.write(struct {
		Type        string       `json:"type"`
		At          int64        `json:"at_ns"`
		Node        raft.NodeID  `json:"node"`
		Group       raft.GroupID `json:"group"`
		Rule        raft.Rule    `json:"rule"`
		Peer        raft.NodeID  `json:"peer,omitempty"`
		Entry       *id          `json:"entry,omitempty"`
		Role        string       `json:"role"`
		Term        raft.Term    `json:"term"`
		Vote        raft.NodeID  `json:"vote"`
		Leader      raft.NodeID  `json:"leader"`
		Commit      raft.Index   `json:"commit"`
		Last        *id          `json:"last"`
		Config      []member     `json:"config"`
		ConfigIndex raft.Index   `json:"config_index"`
	}{
		"rule", int64(at), e.Node, g, e.Rule, e.Peer, idOf(e.Entry), e.Role.String(), e.Term, e.Vote, e.Lead, e.Commit,
		&id{e.Last.Term, e.Last.Index}, membersOf(config), index,
	})
}

// Message implements [Transcript].
func (t *NDJSON) Message(at time.Duration, e *codec.Envelope, arrived bool) {
	m := &e.Message
	kind, node := "send", m.From
	if arrived {
		kind, node = "receive", m.To
	}
	var entries []id
	for i := range m.Span.Entries {
		entries = append(entries, id{m.Span.Entries[i].Term, m.Span.Entries[i].Index})
	}
	var snapshot *id
	if m.Snapshot != nil {
		snapshot = idOf(m.Snapshot.ID)
	}
	t.write(struct {
		Type     string       `json:"type"`
		At       int64        `json:"at_ns"`
		Node     raft.NodeID  `json:"node"`
		Group    raft.GroupID `json:"group"`
		Message  string       `json:"message"`
		From     raft.NodeID  `json:"from"`
		To       raft.NodeID  `json:"to"`
		Term     raft.Term    `json:"term"`
		Last     *id          `json:"last,omitempty"`
		Prev     *id          `json:"prev,omitempty"`
		Entries  []id         `json:"entries,omitempty"`
		Rejected *id          `json:"rejected,omitempty"`
		Granted  bool         `json:"granted,omitempty"`
		Transfer bool         `json:"transfer,omitempty"`
		Commit   raft.Index   `json:"commit,omitempty"`
		Round    uint64       `json:"round,omitempty"`
		Snapshot *id          `json:"snapshot,omitempty"`
	}{
		kind, int64(at), node, e.Group, m.Kind.String(), m.From, m.To, m.Term, idOf(m.Last), idOf(m.Span.Prev), entries,
		idOf(m.Rejected), m.Granted, m.Transfer, m.Commit, m.Round, snapshot,
	})
}

// Both tells two transcripts.
func Both(a, b Transcript) Transcript { return both{a, b} }

type both struct{ a, b Transcript }

func (t both) Note(at time.Duration, node raft.NodeID, text string) {
	t.a.Note(at, node, text)
	t.b.Note(at, node, text)
}

func (t both) Event(at time.Duration, g raft.GroupID, e *raft.Event, config *membership.Config, index raft.Index) {
	t.a.Event(at, g, e, config, index)
	t.b.Event(at, g, e, config, index)
}

func (t both) Message(at time.Duration, e *codec.Envelope, arrived bool) {
	t.a.Message(at, e, arrived)
	t.b.Message(at, e, arrived)
}
