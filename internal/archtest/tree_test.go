package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this test.
const root = "../.."

// source is one package's own files, its tests left out.
type source struct {
	dir   string // from the root of the repository, with slashes; "." for the root package
	fset  *token.FileSet
	files []*ast.File
}

// finding is a line that the policy refuses.
type finding struct {
	at   token.Position
	says string
}

func (s *source) refuse(n ast.Node, format string, args ...any) finding {
	return finding{s.fset.Position(n.Pos()), fmt.Sprintf(format, args...)}
}

// report fails the test with file:line and advice for every finding.
func report(t *testing.T, found []finding) {
	t.Helper()
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.at.Filename, b.at.Filename), cmp.Compare(a.at.Line, b.at.Line))
	})
	for _, f := range found {
		t.Errorf("%s:%d: %s", strings.TrimPrefix(f.at.Filename, root+"/"), f.at.Line, f.says)
	}
}

// readTree parses every package of the repository, for whatever system its files
// are meant.
func readTree(t *testing.T) []*source {
	t.Helper()
	var tree []*source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if base := d.Name(); name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		s, err := readPackage(filepath.ToSlash(rel), name)
		if err == nil && len(s.files) > 0 {
			tree = append(tree, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func readPackage(dir, in string) (*source, error) {
	s := &source{dir: dir, fset: token.NewFileSet()}
	entries, err := os.ReadDir(in)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(s.fset, path.Join(filepath.ToSlash(in), e.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, file)
	}
	return s, nil
}

// importPath is what an import statement names.
func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has seen that it is a string
	return p
}

// imported returns the import path and the name of pkg.Name, if e is one.
func imported(file *ast.File, e ast.Expr) (pkg, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil { // a variable that happens to have a package's name
		return "", ""
	}
	for _, spec := range file.Imports {
		p := importPath(spec)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == x.Name {
			return p, sel.Sel.Name
		}
	}
	return "", ""
}
