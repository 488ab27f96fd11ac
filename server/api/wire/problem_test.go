package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// Every code that is declared has exactly one row.
func TestEveryCodeIsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[Code]int)
	for _, k := range Kinds {
		rows[k.Code]++
		if k.Status < 400 || k.Title == "" || k.Retry == "" {
			t.Errorf("the row of %s is not complete: %+v", k.Code, k)
		}
	}
	declared := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Code" {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared++
		if rows[Code(code)] != 1 {
			t.Errorf("%s has %d rows, want 1", code, rows[Code(code)])
		}
		return true
	})
	if declared == 0 || declared != len(Kinds) {
		t.Errorf("%d codes are declared and %d are in the table", declared, len(Kinds))
	}
}
