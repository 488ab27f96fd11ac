package quorate_test

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
)

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	for said, spoil := range map[string]func(*quorate.Config){
		"1073741824 at most":       func(cfg *quorate.Config) { cfg.LogSegmentBytes = 1<<30 + 1 },
		"LogSegmentBytes is -1":    func(cfg *quorate.Config) { cfg.LogSegmentBytes = -1 },
		`Advertise is "junk"`:      func(cfg *quorate.Config) { cfg.Advertise = "junk" },
		`Advertise is "a:1\n"`:     func(cfg *quorate.Config) { cfg.Advertise = "a:1\n" },
		"is too long":              func(cfg *quorate.Config) { cfg.ElectionTimeout = math.MaxInt64 },
		"at least twice the heart": func(cfg *quorate.Config) { cfg.ElectionTimeout = -1 },
	} {
		cfg := quorate.Config{Dir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"}
		spoil(&cfg)
		if _, err := quorate.Open(cfg); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("want an error that says %q, got %v", said, err)
		}
	}
}

// A group that its first members could never run is refused before anything is written:
// the same host begins it once the mistake is mended.
func TestMembersThatMakeNoSenseAreRefused(t *testing.T) {
	c := &cluster{t: t, dir: t.TempDir()}
	node := c.add(nil)
	t.Cleanup(func() { c.stop(node) })
	self := quorate.Member{ID: 1, Role: quorate.Voter, Address: node.host.Addr()}
	voter := func(address string) quorate.Member {
		return quorate.Member{ID: 2, Role: quorate.Voter, Address: address}
	}
	for said, members := range map[string][]quorate.Member{
		"is not among its Members":        {voter("a:1")},
		`member 0000000000000002 is ""`:   {self, voter("")},
		`is "junk"`:                       {self, voter("junk")},
		`is "a:"`:                         {self, voter("a:")},
		`is ":1"`:                         {self, voter(":1")},
		`is "a:1 "`:                       {self, voter("a:1 ")},
		"another member has this address": {self, voter(self.Address)},
		"group 1 cannot begin":            {{ID: 1, Role: quorate.Learner, Address: self.Address}},
	} {
		_, err := node.host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: &list{}})
		if err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("want an error that says %q, got %v", said, err)
		}
		if used := said == "another member has this address"; used && !errors.Is(err, membership.ErrAddressUsed) {
			t.Errorf("%v does not wrap ErrAddressUsed", err)
		}
	}
	c.begin(node, []quorate.Member{self})
	c.propose(node, "mended")
}
