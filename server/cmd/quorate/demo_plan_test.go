package main

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestPlanIsKeptInItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	made, err := makePlan(dir, layout{nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	// The default number of nodes must not contradict a kept cluster of two.
	continued, err := makePlan(dir, layout{nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(made, continued) {
		t.Errorf("continued as %+v, was %+v", continued, made)
	}
}

func TestSearchPassesOccupiedPorts(t *testing.T) {
	first, err := newPlan(layout{nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	// One port of the last node is enough to move on.
	l, err := net.Listen("tcp", strings.TrimPrefix(first.Nodes[2].PeerURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second, err := newPlan(layout{nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i := range first.Nodes {
		if first.Nodes[i] == second.Nodes[i] {
			t.Errorf("%s is at %s in both plans", first.Nodes[i].Name, first.Nodes[i].ClientURL)
		}
	}
}

func TestOccupiedPortOfKeptPlanIsNamed(t *testing.T) {
	dir := t.TempDir()
	p, err := makePlan(dir, layout{nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(p.Nodes[0].ClientURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err = makePlan(dir, layout{nodes: 1}); err == nil || !strings.Contains(err.Error(), p.Nodes[0].ClientURL) {
		t.Errorf("continued although a port is taken: %v", err)
	}
}

func TestPortsAreTenApart(t *testing.T) {
	p := planAt(3, 4000)
	for i, s := range p.Nodes {
		client, peer := strconv.Itoa(4000+10*i), strconv.Itoa(4001+10*i)
		if !strings.HasSuffix(s.ClientURL, ":"+client) || !strings.HasSuffix(s.PeerURL, ":"+peer) {
			t.Errorf("%s: clients at %s, peers at %s, want ports %s and %s", s.Name, s.ClientURL, s.PeerURL, client, peer)
		}
	}
}

func TestUnwritableDirectoryIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := makePlan(filepath.Join(file, "below"), layout{nodes: 1}); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a directory below a file: %v", err)
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"plain/path-1.0":  "plain/path-1.0",
		"n1=http://a:1,b": "n1=http://a:1,b",
		"a b":             "'a b'",
		"it's":            `'it'\''s'`,
		"$HOME":           "'$HOME'",
		"":                "''",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q is quoted as %s, want %s", word, got, want)
		}
	}
}
