package quorate

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
)

// Answerer is a [StateMachine] that also answers questions: about what only the
// leader keeps, say, and nothing that goes through the log.
type Answerer interface {
	// Answer is called on the node that leads, as far as it knows, from many
	// goroutines, also while Apply goes on; a [Group.Read] tells whether it leads
	// indeed. [raft.ErrNotLeader] has the question asked again, of who leads then.
	Answer(ctx context.Context, question []byte) ([]byte, error)
}

// Ask has the leader's state machine, an [Answerer], answer a question. It may be
// called on any node, and waits for a leader as long as ctx allows: the error wraps
// ErrNoLeader then. A question whose answer is lost is asked again, so it should do
// no harm twice.
func (g *Group) Ask(ctx context.Context, question []byte) (answer []byte, err error) {
	if len(question) > g.host.cfg.MaxCommandBytes {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, g.host.cfg.MaxCommandBytes)
	}
	err = g.insist(ctx, func(leader engine.Leader) (err error) {
		if leader.Node == g.host.id {
			answer, err = g.answer(ctx, question)
		} else {
			answer, err = g.exchange(ctx, leader, callAsk, question)
		}
		if errors.Is(err, ErrUnknownOutcome) {
			err = errNotMade
		}
		return err
	})
	return answer, err
}

// answer answers a question as the leader.
func (g *Group) answer(ctx context.Context, question []byte) ([]byte, error) {
	who, ok := g.machine.sm.(Answerer)
	defer g.machine.users.Begin()() // and then look whether finish waits no more
	switch {
	case !ok:
		return nil, errors.New("quorate: the state machine is no Answerer: it can be asked nothing")
	case !g.leading(), g.stopped():
		return nil, errNotMade
	}
	answer, err := who.Answer(ctx, question)
	if errors.Is(err, ErrNoLeader) {
		return nil, errNotMade // it could not find out whether it leads
	}
	return answer, asRefusal(err)
}

// answerFor answers a question of another node.
func (g *Group) answerFor(question []byte) []byte {
	if len(question) > g.host.cfg.MaxCommandBytes {
		return encodeAnswer(ErrTooLarge)
	}
	ctx, cancel := g.host.within(g.host.ctx, forwardedTime)
	defer cancel()
	answer, err := g.answer(ctx, question)
	return append(encodeAnswer(err), answer...)
}

// ProposeIn is Propose on the condition that this node leads the given term; the
// error is raft.ErrNotLeader otherwise, and the command has not been and will not be
// carried out. Whatever is carried out later was decided later: who takes the term
// from [Group.Leader] before it makes up its mind is not overtaken by another leader.
func (g *Group) ProposeIn(ctx context.Context, term raft.Term, command []byte) (any, error) {
	if len(command) > g.host.cfg.MaxCommandBytes {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, g.host.cfg.MaxCommandBytes)
	}
	if ctx.Err() != nil {
		return nil, tooLate(ctx)
	}
	result, err := g.proposeOnce(ctx, term, command)
	if errors.Is(err, errNotMade) {
		return nil, fmt.Errorf("%w of term %d", raft.ErrNotLeader, term)
	}
	return result, err
}
