package quorate_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// secure gives each host a certificate of its own.
func secure(t *testing.T, ca *certstest.CA) func(*quorate.Config) {
	return func(c *quorate.Config) {
		peers, err := certs.LoadPeers(ca.Issue(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.PeerTLS = peers
	}
}

func TestHostsReplicateOverMutualTLS(t *testing.T) {
	ca := certstest.New(t)
	c := newCluster(t, 3, secure(t, ca))
	c.propose(c.leader(), "at the leader")
	c.propose(c.follower(), "at a follower")
	node := c.follower()
	c.stop(node)
	c.restart(node)
	for _, node := range c.nodes {
		until(t, "every node has both", func() bool {
			return slices.Equal(node.list.all(), []string{"at the leader", "at a follower"})
		})
	}
	for _, node := range c.nodes {
		if _, stats := node.host.Stats(); stats.Insecure > 0 {
			t.Errorf("node %d: %d handshakes failed", node.cfg.ID, stats.Insecure)
		}
	}
}

// A member of the group whose certificate another CA has signed has no part in it;
// the others form a majority without it.
func TestAHostOfAnotherCAHasNoPart(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	n := 0
	c := newCluster(t, 3, func(cfg *quorate.Config) {
		if n++; n == 3 {
			secure(t, other)(cfg)
		} else {
			secure(t, ca)(cfg)
		}
	})
	stranger := c.nodes[2]
	c.propose(c.leader(), "without it")
	for _, node := range c.nodes {
		until(t, "the refusals are counted on both sides", func() bool {
			_, stats := node.host.Stats()
			return stats.Insecure > 0
		})
	}
	if items := stranger.list.all(); len(items) > 0 {
		t.Errorf("it was told %q", items)
	}
	if leader := c.leader(); leader == stranger {
		t.Error("it leads")
	}
}

// Who needs no TLS does not link it: it would make a small program twice as large.
func TestTLSIsLinkedOnlyOnDemand(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		if p == "crypto/tls" || p == "crypto/x509" {
			t.Errorf("the library links %s", p)
		}
	}
}
