package quorate

import (
	"fmt"
	"net"
	"strings"
	"unicode"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// beginning is the log of a group that its members begin. What could never work is
// refused here: once it is written nothing but the group itself can change it.
func (h *Host) beginning(cfg GroupConfig) (raft.Saved, error) {
	config := membership.New(cfg.Members...)
	if _, found := config.Find(h.id); !found {
		return raft.Saved{}, fmt.Errorf("quorate: group %d: this node, %016x, is not among its Members: put it there on all of them, "+
			"or leave Members empty and add it to the group", cfg.ID, uint64(h.id))
	}
	at := map[string]NodeID{}
	for _, m := range config.Members {
		if !isAddress(m.Address) {
			return raft.Saved{}, fmt.Errorf("quorate: group %d: the address of member %016x is %q: it must be the host:port that its peers dial", cfg.ID, uint64(m.ID), m.Address)
		}
		if other, used := at[m.Address]; used {
			return raft.Saved{}, fmt.Errorf("quorate: group %d: members %016x and %016x are both at %s: %w", cfg.ID, uint64(other), uint64(m.ID), m.Address, membership.ErrAddressUsed)
		}
		at[m.Address] = m.ID
	}
	saved, err := raft.Bootstrap(config)
	if err != nil {
		return raft.Saved{}, fmt.Errorf("quorate: group %d cannot begin: %w", cfg.ID, err)
	}
	return saved, nil
}

// isAddress reports whether a peer could be dialled at a host:port.
func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return err == nil && host != "" && port != "" && !strings.ContainsFunc(text, odd)
}
