package quorate

import (
	"slices"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/transport"
)

// kept notes what leaves the node when what is on its disk.
type kept struct {
	Observer
	Network
	Transport
	durable []GroupID
	left    chan []GroupID // what was durable, when a message left
}

func (k *kept) Durable(records []codec.Record) {
	for i := range records {
		k.durable = append(k.durable, records[i].Group)
	}
}

func (k *kept) Listen(cfg transport.Config) (end Transport, err error) {
	k.Transport, err = k.Network.Listen(cfg)
	return k, err
}

func (k *kept) Send(messages []codec.Envelope) {
	for range messages {
		k.left <- slices.Clone(k.durable)
	}
}

// A vote that is written together with many commands of other groups does not wait for
// them; with few it does, since one write is cheaper than two.
func TestAVoteDoesNotWaitForTheCommandsOfOthers(t *testing.T) {
	for _, c := range []struct {
		bytes  int
		before []GroupID // the vote
	}{
		{100, []GroupID{1, 2, 3}},
		{2 << 20, []GroupID{2}},
	} {
		k := &kept{Network: tcp{}, left: make(chan []GroupID, 3)}
		h, err := Open(Config{Dir: t.TempDir(), ID: 1, Listen: "127.0.0.1:0", Network: k, Observer: k})
		if err != nil {
			t.Fatal(err)
		}
		begin, err := raft.Bootstrap(membership.New(Member{ID: 1, Role: membership.Voter, Address: h.Addr()}))
		if err != nil {
			t.Fatal(err)
		}
		var first []codec.Record
		for id := GroupID(1); id <= 3; id++ {
			first = append(first, codec.Record{Group: id, Write: raft.Write{State: begin.State, Base: &begin.Base}})
		}
		if err := h.disk.bootstrap(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		k.durable = nil
		entries := raft.Span{Prev: raft.BootstrapID, Entries: []raft.Entry{{EntryID: raft.EntryID{Term: 1, Index: 2}, Kind: raft.Command, Data: make([]byte, c.bytes)}}}
		var b engine.Batch
		for id := GroupID(1); id <= 3; id++ {
			w := raft.Write{Append: entries}
			if id == 2 {
				w = raft.Write{State: raft.HardState{Term: 2, Vote: 3}}
			}
			b.Writes = append(b.Writes, codec.Record{Group: id, Write: w})
			b.After = append(b.After, codec.Envelope{Group: id})
		}
		h.disk.put(&b)
		if got := <-k.left; !slices.Equal(got, c.before) {
			t.Errorf("with commands of %d bytes the first promise left when %v were on the disk, not %v", c.bytes, got, c.before)
		}
		if got := <-k.left; len(got) != 3 {
			t.Errorf("with commands of %d bytes the next left when %v were on the disk", c.bytes, got)
		}
		<-k.left
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
