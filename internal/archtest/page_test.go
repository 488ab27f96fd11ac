package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTagsAreRules refuses a tag that no rule bears: a typing error, or a rule
// that rules.go lacks.
func TestTagsAreRules(t *testing.T) {
	for _, place := range readIndex(t, root).Unknown() {
		t.Errorf("%s is no rule of internal/archtest/rules.go", place)
	}
}

// TestRulesAreComplete closes the loop: every rule stands at a line, in a script,
// and in the trace that the core tells.
func TestRulesAreComplete(t *testing.T) {
	for _, says := range readIndex(t, root).Missing() {
		t.Error(says)
	}
	if got, want := traced(t), CoreRules(); !slices.Equal(got, want) {
		t.Errorf("raft/trace.go names the rules %v, want %v", got, want)
	}
	all := len(CoreRules()) + len(elsewhere)
	for _, chapter := range Rules {
		all -= len(chapter.Rules)
	}
	if all != 0 {
		t.Error("elsewhere names what is no rule")
	}
}

// traced returns the rules that raft/trace.go declares, in its order.
func traced(t *testing.T) (ids []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "raft", "trace.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		consts, ok := decl.(*ast.GenDecl)
		if !ok || consts.Tok != token.CONST {
			continue
		}
		for _, spec := range consts.Specs {
			c := spec.(*ast.ValueSpec)
			if id := c.Names[0].Name; c.Values[0].(*ast.BasicLit).Value == strconv.Quote(id) {
				ids = append(ids, id)
			} else {
				t.Errorf("the rule %s has another name in the trace", id)
			}
		}
	}
	return ids
}

// TestPageIsFresh refuses a page whose links have moved.
func TestPageIsFresh(t *testing.T) {
	needServer(t)
	got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(Page)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, readIndex(t, root).Markdown()) {
		t.Errorf("%s is stale; run make generate", Page)
	}
}

// TestRulesAreSound refuses a list that names a rule twice or leaves it unsaid.
func TestRulesAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, chapter := range Rules {
		for _, r := range chapter.Rules {
			if got := Tags(r.ID); len(got) != 1 || got[0] != r.ID || seen[r.ID] {
				t.Errorf("%s is not the name of one rule", r.ID)
			}
			if r.Says == "" || r.Source == "" || r.Home == "" {
				t.Errorf("%s lacks words, source or home", r.ID)
			}
			seen[r.ID] = true
		}
	}
}

// TestIndex reads a small tree: what is a tag, which files count, where it stands.
func TestIndex(t *testing.T) {
	x := readIndex(t, "testdata/rules")
	code := []Place{{"raft/append.go", 3}, {"raft/append.go", 6}}
	if !slices.Equal(x.Code["AE3"], code) {
		t.Errorf("AE3 stands at %v, want %v", x.Code["AE3"], code)
	}
	script := []Place{{"raft/testdata/append/a late message.txt", 1}}
	if !slices.Equal(x.Scripts["AE3"], script) {
		t.Errorf("scripts of AE3: %v, want %v", x.Scripts["AE3"], script)
	}
	test := []Place{{"raft/append_test.go", 4}}
	if !slices.Equal(x.Tests["AE3"], test) {
		t.Errorf("tests of AE3: %v, want %v", x.Tests["AE3"], test)
	}
	if missing := x.Missing(); slices.Contains(missing, "AE3 stands at no line") || !slices.Contains(missing, "AE2 stands at no line") ||
		slices.Contains(missing, "AE3 is shown by no script") || !slices.Contains(missing, "AE4 is shown by no script") {
		t.Errorf("missing: %v", missing)
	}
	if got := best(code, func(p Place) bool { return p.Line == 6 }); !slices.Equal(got, []Place{code[1], code[0]}) {
		t.Errorf("the best first: %v", got)
	}
	unknown := []string{"raft/append.go:6: AE9", "raft/testdata/append/a late message.txt:2: AE04"}
	if got := x.Unknown(); !slices.Equal(got, unknown) {
		t.Errorf("unknown tags %v, want %v", got, unknown)
	}
	if links := regexp.MustCompile(`AE3 \|.*`).FindString(string(x.Markdown())); !strings.Contains(links,
		"[append.go:3](../raft/append.go#L3), [append.go:6](../raft/append.go#L6) | [a late message](../raft/testdata/append/a%20late%20message.txt#L1)") {
		t.Errorf("the page says %s", links)
	}
}

// needServer skips a test of pages, which link into the server: where the
// library is tested as a dependency, its module comes without.
func needServer(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "server")); err != nil {
		t.Skip("the server's module is not here")
	}
}

func readIndex(t *testing.T, root string) *Index {
	t.Helper()
	x, err := ReadIndex(root)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
