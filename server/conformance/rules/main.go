// Command rules evaluates expressions of alert rules over pages of /metrics, with
// Prometheus' own parsers and engine. It is a program, and a module of its own,
// so that Prometheus does not choose what etcd is built with; the conformance test runs
// it. A Question comes in as JSON, and one Answer for each expression goes out.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Question is what is evaluated, and over what.
type Question struct {
	Scrapes     []Scrape // in the order of time
	Expressions []string // evaluated at the time of the last scrape
}

// Scrape is a page of /metrics.
type Scrape struct {
	At       int64 // milliseconds since 1970
	Instance string
	Page     string // empty if the instance did not answer
}

// Answer is what an expression is.
type Answer struct {
	Error     string
	Unmatched []string // selectors in it that select no series
	Fires     int      // series that an alert would be about
	Compared  int      // series that were compared for it, whatever came out
}

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	var q Question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return err
	}
	if len(q.Scrapes) == 0 {
		return errors.New("there is no scrape")
	}
	db := make(memory)
	for _, s := range q.Scrapes {
		if err := db.store(s); err != nil {
			return fmt.Errorf("%s at %d: %w", s.Instance, s.At, err)
		}
	}
	e := evaluator{
		ctx: ctx, db: &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: db.find}}, now: time.UnixMilli(q.Scrapes[len(q.Scrapes)-1].At), parser: parser.NewParser(parser.Options{}),
	}
	e.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e7, Timeout: time.Minute, Parser: e.parser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	answers := make([]Answer, len(q.Expressions))
	for i, text := range q.Expressions {
		var err error
		if answers[i], err = e.answer(text); err != nil {
			answers[i].Error = err.Error()
		}
	}
	return json.NewEncoder(out).Encode(answers)
}

// evaluator looks at what was stored.
type evaluator struct {
	ctx    context.Context
	db     storage.Queryable
	now    time.Time
	parser parser.Parser
	engine *promql.Engine
}

func (e evaluator) answer(text string) (a Answer, err error) {
	expr, err := e.parser.ParseExpr(text)
	if err != nil {
		return a, err
	}
	if a.Unmatched, err = e.unmatched(expr); err != nil {
		return a, err
	}
	if a.Fires, err = e.count(text); err != nil {
		return a, err
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if b, is := n.(*parser.BinaryExpr); is && b.Op.IsComparisonOperator() {
			b.ReturnBool = true // what is not so stays, as zero
		}
		return nil
	})
	a.Compared, err = e.count(expr.String())
	return a, err
}

// unmatched are the selectors of an expression for which there is nothing.
func (e evaluator) unmatched(expr parser.Expr) (texts []string, err error) {
	from, err := e.db.Querier(0, e.now.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer from.Close() // it only read
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, is := n.(*parser.VectorSelector); is {
			found := from.Select(e.ctx, false, nil, s.LabelMatchers...)
			if !found.Next() {
				texts = append(texts, s.String())
				err = errors.Join(err, found.Err())
			}
		}
		return nil
	})
	return texts, err
}

// count is how many series an expression is now.
func (e evaluator) count(text string) (int, error) {
	query, err := e.engine.NewInstantQuery(e.ctx, e.db, nil, text, e.now)
	if err != nil {
		return 0, err
	}
	defer query.Close()
	vector, err := query.Exec(e.ctx).Vector()
	return len(vector), err
}
