package archtest

import (
	"go/ast"
	"go/token"
	"testing"
)

// TestNothingWaits looks above the line for what waits or is shared, and below it
// for whoever reads the clock past env.
func TestNothingWaits(t *testing.T) {
	for _, s := range readTree(t) {
		switch r, _ := rowOf(policy, s.dir); r.zone {
		case above:
			report(t, s.waits())
		case below:
			report(t, s.clocks())
		}
	}
}

// waits finds what the language itself offers for waiting and for leaving the
// order of events to chance, and what writes to the process's own streams.
func (s *source) waits() []finding {
	var found []finding
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if says := waiting(file, n); says != "" {
				found = append(found, s.refuse(n, "%s has %s", s.dir, says))
			}
			return true
		})
	}
	return found
}

func waiting(file *ast.File, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a go statement: return an effect; whoever drives this package has the goroutines"
	case *ast.SelectStmt:
		return "a select: what happens next is the input's to say, not the scheduler's"
	case *ast.ChanType:
		return "a channel: inputs are arguments, and effects are results"
	case *ast.SendStmt:
		return "a send on a channel: return an effect"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "a receive from a channel: inputs are arguments"
		}
	case *ast.SelectorExpr:
		if pkg, name := imported(file, n); pkg == "fmt" && prints[name] {
			return "fmt." + name + ": return an error or an effect; the host logs"
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Obj == nil && (f.Name == "print" || f.Name == "println") {
			return f.Name + ": return an error or an effect; the host logs"
		}
	}
	return ""
}

// clocks finds what reads a clock or waits for one.
func (s *source) clocks() []finding {
	var found []finding
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(*ast.SelectorExpr); ok {
				if pkg, name := imported(file, e); clock[pkg][name] {
					found = append(found, s.refuse(n, "%s uses %s.%s: time comes from env, so that simulated time can stand in", called(s.dir), pkg, name))
				}
			}
			return true
		})
	}
	return found
}
