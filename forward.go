package quorate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/transport"
)

// A call from one host to another, and its answer:
//
//	call    what u8, group u64, term u64, then
//	        propose: the command with its ticket
//	        reconfigure: the wish (codec.AppendReconfiguration)
//	        leave: nothing
//	        transfer: node u64
//	        ask: the question
//	answer  code u8 (an index into refusals, or one of the three above them), text;
//	        of ask, if accepted: what the state machine says
const (
	callPropose byte = iota + 1
	callReconfigure
	callLeave
	callTransfer
	callAsk

	callHeader = 1 + 8 + 8
)

const (
	answerNotMade  byte = 0 // refusals[0]
	answerAccepted byte = 256 - iota
	answerFailed        // certainly not done, for the reason in the text
	answerUnknown
)

// refusals are the errors that keep their meaning across a call. The order is
// part of the protocol: append only.
var refusals = []error{
	errNotMade, ErrBusy, ErrTooLarge, ErrNotTakenOver,
	raft.ErrChangePending, raft.ErrStaleChange, raft.ErrNotCaughtUp, raft.ErrNotVoter,
	membership.ErrKnown, membership.ErrUnknown, membership.ErrNotLearner, membership.ErrNotVoter, membership.ErrLastVoter,
	membership.ErrAddressUsed, membership.ErrBadChange, membership.ErrJoint, membership.ErrNotJoint,
	ErrDiskFull, raft.ErrTooFewVoters,
}

// forward makes a proposal to a leader elsewhere. A nil error says that it was
// made: its ticket will come by, or an entry of a later term.
func (g *Group) forward(ctx context.Context, leader engine.Leader, p *waiter, data []byte) error {
	if leader.Node == 0 {
		return errNotMade
	}
	if err := g.waiting.made(p, leader.Term); err != nil {
		return err
	}
	return g.call(ctx, leader, callPropose, data)
}

// call asks the leader's host to do something.
func (g *Group) call(ctx context.Context, leader engine.Leader, what byte, args []byte) error {
	_, err := g.exchange(ctx, leader, what, args)
	return err
}

// exchange is call, where what was done has something to say.
func (g *Group) exchange(ctx context.Context, leader engine.Leader, what byte, args []byte) ([]byte, error) {
	if leader.Node == 0 {
		return nil, errNotMade
	}
	request := make([]byte, 0, callHeader+len(args))
	request = append(request, what)
	request = binary.LittleEndian.AppendUint64(request, uint64(g.id))
	request = binary.LittleEndian.AppendUint64(request, uint64(leader.Term))
	answer, err := g.host.peers.Call(ctx, leader.Node, append(request, args...))
	switch {
	case errors.Is(err, transport.ErrNotSent):
		return nil, fmt.Errorf("%w: %w", errNotMade, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case len(answer) == 0:
		return nil, fmt.Errorf("%w: the leader's answer is empty", ErrUnknownOutcome)
	}
	return answer[1:], decodeAnswer(answer)
}

func decodeAnswer(answer []byte) error {
	code, text := answer[0], answer[1:]
	switch {
	case code == answerAccepted:
		return nil
	case code == answerFailed:
		return fmt.Errorf("quorate: the leader refused: %s", text)
	case int(code) < len(refusals):
		return refusals[code]
	default:
		return fmt.Errorf("%w: %s", ErrUnknownOutcome, text)
	}
}

func encodeAnswer(err error) []byte {
	switch {
	case err == nil:
		return []byte{answerAccepted}
	case errors.Is(err, ErrUnknownOutcome):
		return append([]byte{answerUnknown}, err.Error()...)
	case errors.Is(err, ErrStopped), errors.Is(err, ErrClosed):
		return []byte{answerNotMade} // by this node; another may lead soon
	}
	for code, refusal := range refusals {
		if errors.Is(err, refusal) {
			return []byte{byte(code)}
		}
	}
	return append([]byte{answerFailed}, err.Error()...)
}

// peerHandler is a host as its transport sees it.
type peerHandler Host

func (p *peerHandler) Receive(_ NodeID, messages []codec.Envelope) { p.inbox.receive(messages) }

func (p *peerHandler) Stream(from NodeID, header []byte, body transport.Incoming) error {
	return (*Host)(p).receiveSnapshot(from, header, body)
}

// Unreachable says that a connection to the peer broke.
func (p *peerHandler) Unreachable(peer NodeID, refused bool) {
	h := (*Host)(p)
	h.inbox.do(func() { h.lost(peer, refused) })
}

// Call answers what another host asks of a group that we lead.
func (p *peerHandler) Call(_ NodeID, request []byte, answer func([]byte)) {
	h := (*Host)(p)
	if len(request) < callHeader {
		answer(encodeAnswer(errors.New("quorate: a call that is cut short")))
		return
	}
	g := h.group(GroupID(binary.LittleEndian.Uint64(request[1:])))
	if g == nil {
		answer(encodeAnswer(errNotMade))
		return
	}
	term, args := raft.Term(binary.LittleEndian.Uint64(request[9:])), request[callHeader:]
	if request[0] == callPropose {
		g.proposeFor(term, args, answer)
		return
	}
	if request[0] == callAsk {
		h.start(func() { answer(g.answerFor(args)) })
		return
	}
	h.start(func() { answer(encodeAnswer(g.changeFor(request[0], args))) })
}

// proposeFor proposes a command for another node, if we lead the very term that
// it was meant for: its node has to know when to stop waiting.
func (g *Group) proposeFor(term raft.Term, data []byte, answer func([]byte)) {
	p := proposal{group: g, data: data, term: term, answer: answer}
	switch {
	case len(data) < ticketSize:
		answer(encodeAnswer(errors.New("quorate: a command that is cut short")))
		return
	case len(data) > g.host.cfg.MaxCommandBytes+ticketSize:
		answer(encodeAnswer(ErrTooLarge))
		return
	case !g.makeRoom(true, len(data)):
		answer(encodeAnswer(ErrBusy))
		return
	}
	g.sample.begin(g.host, p.ticket())
	if err := g.host.inbox.propose(p); err != nil {
		g.sample.offered(g.host, p.ticket(), raft.EntryID{}, err)
		answer(encodeAnswer(err))
	}
}

// forwardedTime bounds what a leader does for a caller that may be gone.
const forwardedTime = 30 * time.Second

// within returns a context that ends with the given one, or after d by the host's
// clock.
func (h *Host) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := h.cfg.Env.NewTimer(d)
	h.start(func() {
		defer timer.Stop()
		if h.cfg.Env.Wait(timer, ctx.Done(), nil, nil) == 0 {
			cancel()
		}
	})
	return ctx, cancel
}

// changeFor changes the membership or hands over leadership for another node.
func (g *Group) changeFor(what byte, args []byte) error {
	if !g.leading() {
		return errNotMade
	}
	ctx, cancel := g.host.within(g.host.ctx, forwardedTime)
	defer cancel()
	switch {
	case what == callTransfer && len(args) == 8:
		return g.Transfer(ctx, NodeID(binary.LittleEndian.Uint64(args)))
	case what == callLeave:
		return g.Leave(ctx)
	case what == callReconfigure:
		wish, err := codec.DecodeReconfiguration(args)
		if err != nil {
			return fmt.Errorf("quorate: a wish for another membership that cannot be read: %w", err)
		}
		return g.Reconfigure(ctx, wish)
	default:
		return fmt.Errorf("quorate: this node does not know the call %d", what)
	}
}
