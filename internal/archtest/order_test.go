package archtest

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// orderMark excuses the loop on its line or the next: `//order: why nobody can
// see in which order it ran`.
var orderMark = regexp.MustCompile(`^//order:\s*\S`)

// TestNoMapOrder refuses, above the line, every loop over a map that does not
// say why its order cannot be seen.
func TestNoMapOrder(t *testing.T) {
	var calmOnes []*source
	var patterns []string
	for _, s := range readTree(t) {
		if r, _ := rowOf(policy, s.dir); r.zone == above {
			calmOnes = append(calmOnes, s)
			patterns = append(patterns, "./"+s.dir)
		}
	}
	compiled := importer.ForCompiler(calmOnes[0].fset, "gc", exports(t, patterns))
	for _, s := range calmOnes {
		found, err := s.mapOrder(compiled)
		if err != nil {
			t.Errorf("%s: %v", s.dir, err)
		}
		report(t, found)
	}
}

// exports has the go command compile what the packages import and returns where
// the compiler wrote the types down.
func exports(t *testing.T, patterns []string) importer.Lookup {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, patterns...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	where := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		where[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(where[path]) }
}

// mapOrder finds the loops over maps whose order could be seen. It needs types:
// that something is a map is seldom said where it is ranged over.
func (s *source) mapOrder(compiled types.Importer) ([]finding, error) {
	var here []*ast.File
	for _, file := range s.files {
		dir, name := filepath.Split(s.fset.Position(file.Pos()).Filename)
		if ok, err := build.Default.MatchFile(dir, name); err != nil {
			return nil, err
		} else if ok {
			here = append(here, file)
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: compiled}
	if _, err := conf.Check(s.dir, s.fset, here, info); err != nil {
		return nil, err
	}
	var found []finding
	for _, file := range here {
		found = append(found, s.mapLoops(file, info)...)
	}
	return found, nil
}

// mapLoops walks one file. A marker that excuses nothing is refused too, so that
// none outlives its loop.
func (s *source) mapLoops(file *ast.File, info *types.Info) []finding {
	marks := s.orderMarks(file)
	sorted := map[ast.Expr]bool{} // arguments of slices.Sorted: their order is gone at once
	var found []finding
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if pkg, name := imported(file, call.Fun); pkg == "slices" && strings.HasPrefix(name, "Sorted") {
				sorted[call.Args[0]] = true
			}
		}
		if says := visitsMap(file, info, n); says != "" && !sorted[asExpr(n)] {
			line := s.fset.Position(n.Pos()).Line
			if !marks.use(line) && !marks.use(line-1) {
				found = append(found, s.refuse(n, "%s %s: sort the keys first, or say //order: why nobody can see the order", s.dir, says))
			}
		}
		return true
	})
	return append(found, marks.idle(s)...)
}

// visitsMap says how the node goes through a map in an order that it could show.
func visitsMap(file *ast.File, info *types.Info, n ast.Node) string {
	switch n := n.(type) {
	case *ast.RangeStmt:
		if (n.Key != nil || n.Value != nil) && isMap(info.TypeOf(n.X)) {
			return "ranges over a map"
		}
	case *ast.CallExpr:
		if pkg, name := imported(file, n.Fun); pkg == "maps" && set("All", "Keys", "Values", "DeleteFunc")[name] {
			return "calls maps." + name
		}
	}
	return ""
}

// isMap reports whether a value of the type is a map; of a type parameter,
// whether it may be one.
func isMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Union:
		for term := range u.Terms() {
			if isMap(term.Type()) {
				return true
			}
		}
	case *types.Interface:
		for e := range u.EmbeddedTypes() {
			if isMap(e) {
				return true
			}
		}
	}
	return false
}

func asExpr(n ast.Node) ast.Expr {
	e, _ := n.(ast.Expr)
	return e
}

// marks are the order markers of a file by their line.
type marks map[int]*mark

type mark struct {
	comment *ast.Comment
	used    bool
}

func (s *source) orderMarks(file *ast.File) marks {
	all := marks{}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if orderMark.MatchString(c.Text) {
				all[s.fset.Position(c.Pos()).Line] = &mark{comment: c}
			}
		}
	}
	return all
}

func (m marks) use(line int) bool {
	mark, ok := m[line]
	if ok {
		mark.used = true
	}
	return ok
}

func (m marks) idle(s *source) []finding {
	var found []finding
	for _, mark := range m {
		if !mark.used {
			found = append(found, s.refuse(mark.comment, "an //order: marker without a loop over a map"))
		}
	}
	return found
}
