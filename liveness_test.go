package quorate

import (
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// hollow is a transport that goes nowhere; it knows whom it was told of.
type hollow struct {
	deaf
	peers map[NodeID]bool
}

func (d hollow) SetPeer(id NodeID, _ string) { d.peers[id] = true }
func (d hollow) RemovePeer(id NodeID)        { delete(d.peers, id) }

// changing is the loop of node 1, in which a test changes members and time.
func changing() (*Host, hollow) {
	peers := hollow{peers: map[NodeID]bool{}}
	h := &Host{
		identity: identity{id: 1}, peers: peers,
		cfg: Config{HeartbeatInterval: 50 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond},
	}
	return h, peers
}

func (h *Host) setMembers(ids ...NodeID) {
	var members []Member
	for _, id := range ids {
		members = append(members, Member{ID: id, Role: membership.Voter, Address: "127.0.0.1:1"})
	}
	h.loop.book.set(h, engine.Members{Group: 1, Config: membership.New(members...)})
}

func (h *Host) pass(ticks int) {
	for range ticks {
		h.loop.ticks++
		h.loop.book.tick(h)
		h.loop.life.tick(h)
	}
}

// A host lives for months, and nodes that replace others have new IDs: what it knows of
// those that are gone must not grow with them.
func TestANodeThatIsGoneIsForgotten(t *testing.T) {
	h, peers := changing()
	const lives = 100
	for gone := range NodeID(lives) {
		h.setMembers(1, 2, 3, 10+gone)
		h.loop.life.speak([]codec.Envelope{{Message: raft.Message{To: 1000 + gone}}}, h.loop.ticks) // who is no member, too
		h.pass(partingTicks / 10)
	}
	h.setMembers(1, 2, 3)
	if known := len(h.loop.life.nodes); known > 50 {
		t.Fatalf("%d nodes are known while members come and go", known)
	}
	h.pass(2 * partingTicks)
	// All are silent, but these are members.
	if _, two := h.loop.life.search(2); !two || len(h.loop.life.nodes) != 2 {
		t.Fatalf("%d nodes are known in the end; 2 and 3 are members", len(h.loop.life.nodes))
	}
	if b := &h.loop.book; len(b.shared) != 3 || len(b.leaving) != 0 || len(peers.peers) != 2 {
		t.Fatalf("in the address book are %d nodes and %d that leave, in the transport %d", len(b.shared), len(b.leaving), len(peers.peers))
	}
}

// A message on its way, such as one that it was removed, must still find the way.
func TestANodeThatLeavesIsKnownForAWhile(t *testing.T) {
	h, peers := changing()
	h.setMembers(1, 2)
	h.pass(h.cfg.electionTicks() + 1)
	h.setMembers(1)
	h.pass(partingTicks - 1)
	if _, known := h.loop.life.search(2); !known || !peers.peers[2] {
		t.Fatal("a member is forgotten as soon as it has left")
	}
	h.pass(2)
	if _, known := h.loop.life.search(2); known || peers.peers[2] {
		t.Fatal("a silent node that left long ago is not forgotten")
	}
}

func TestAStrangerThatIsHeardIsKnown(t *testing.T) {
	h, _ := changing()
	for range partingTicks {
		h.hear(&codec.Envelope{Group: 7, Message: raft.Message{From: 5}})
		h.pass(1)
	}
	if at, known := h.loop.life.search(5); !known || h.loop.life.nodes[at].silent {
		t.Fatal("a node that talks is not known")
	}
}
