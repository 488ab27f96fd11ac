package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Tours are the pages that lead through the code, from the root of the
// repository. Their links have the form [`Host.turn`](loop.go#L46): the name of
// a declaration, or the tag of a rule, and the line in the file where it stands.
var Tours = []string{"ARCHITECTURE.md", "docs/formats.md"}

var tourLink = regexp.MustCompile("\\[`([A-Za-z0-9_.]+)`\\]\\(([^)#]+\\.go)(#L[0-9]+)?\\)")

// Relink returns the page with the line numbers as they are now. It returns an
// error that names every link whose file does not have what it names.
func Relink(root, page string, text []byte) ([]byte, error) {
	lines := map[string]map[string]int{} // by file and name
	var missing []string
	linked := tourLink.ReplaceAllFunc(text, func(link []byte) []byte {
		m := tourLink.FindSubmatch(link)
		name, target := string(m[1]), string(m[2])
		file := path.Join(path.Dir(page), target)
		if lines[file] == nil {
			found, err := declared(filepath.Join(root, filepath.FromSlash(file)))
			if err != nil {
				missing = append(missing, err.Error())
			}
			lines[file] = found
		}
		line := lines[file][name]
		if line == 0 {
			missing = append(missing, fmt.Sprintf("%s has no %s", file, name))
		}
		return fmt.Appendf(nil, "[`%s`](%s#L%d)", name, target, line)
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s: %s", page, strings.Join(missing, "; "))
	}
	return linked, nil
}

// Renew compares all tours, links and layouts, with what they should be, writes
// those that differ if asked to, and returns their names.
func Renew(root string, write bool) (stale []string, err error) {
	for _, page := range Tours {
		name := filepath.Join(root, filepath.FromSlash(page))
		old, err := os.ReadFile(name)
		if err != nil {
			return stale, err
		}
		fresh, err := Relink(root, page, old)
		if err == nil {
			fresh, err = Relayout(root, fresh)
		}
		if err != nil {
			return stale, err
		}
		if bytes.Equal(old, fresh) {
			continue
		}
		stale = append(stale, page)
		if write {
			if err := os.WriteFile(name, fresh, 0o644); err != nil {
				return stale, err
			}
		}
	}
	return stale, nil
}

// declared returns the line of everything that a file declares, and of the first
// comment that carries the tag of a rule: functions by their names, methods and
// fields as Type.Name, types, constants and variables.
func declared(name string) (map[string]int, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	lines := map[string]int{}
	put := func(name string, at token.Pos) {
		if lines[name] == 0 {
			lines[name] = fset.Position(at).Line
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			put(receiver(d)+d.Name.Name, d.Pos())
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				putSpec(spec, put)
			}
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			for _, id := range Tags(c.Text) {
				put(id, c.Pos())
			}
		}
	}
	return lines, nil
}

// receiver is "Type." of a method, nothing of a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

func putSpec(spec ast.Spec, put func(string, token.Pos)) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			put(name.Name, name.Pos())
		}
	case *ast.TypeSpec:
		put(s.Name.Name, s.Pos())
		var fields *ast.FieldList
		switch t := s.Type.(type) {
		case *ast.StructType:
			fields = t.Fields
		case *ast.InterfaceType:
			fields = t.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, name := range f.Names {
				put(s.Name.Name+"."+name.Name, name.Pos())
			}
		}
	}
}
