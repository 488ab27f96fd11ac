package archtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the import path of the root of the repository.
const module = "github.com/quorate-db/quorate"

// TestImports holds every import of every package against the policy.
func TestImports(t *testing.T) {
	for _, s := range readTree(t) {
		report(t, s.imports(policy))
	}
}

// TestModules counts what a program links that embeds the library.
func TestModules(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := strings.Fields(string(out))
	slices.Sort(linked)
	linked = slices.DeleteFunc(slices.Compact(linked), func(m string) bool { return m == module })
	if len(linked) > maxModules {
		t.Errorf("the library links %d modules besides the standard library, at most %d are allowed: %v", len(linked), maxModules, linked)
	}
}

// TestPolicyIsSound refuses a table that contradicts itself.
func TestPolicyIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range policy {
		if r.why == "" {
			t.Errorf("the row of %s gives no reason", r.dir)
		}
		if seen[r.dir] {
			t.Errorf("%s has two rows", r.dir)
		}
		seen[r.dir] = true
	}
	for p := range calm {
		if advice(instead, p) != "" {
			t.Errorf("%s is both calm and refused", p)
		}
	}
}

// imports says which imports of the package its row does not allow.
func (s *source) imports(rows []row) []finding {
	r, ok := rowOf(rows, s.dir)
	if !ok {
		return []finding{s.refuse(s.files[0], "package %s has no row in internal/archtest/policy_test.go; add one that says what it may import, and why", s.dir)}
	}
	var found []finding
	for _, file := range s.files {
		for _, spec := range file.Imports {
			if complaint := r.complains(s.dir, importPath(spec)); complaint != "" {
				found = append(found, s.refuse(spec, "%s", complaint))
			}
		}
	}
	return found
}

// complains says why a package of this row may not import p; nothing if it may.
func (r row) complains(dir, p string) string {
	if target, ours := strings.CutPrefix(p+"/", module+"/"); ours {
		return r.complainsOfOurs(dir, strings.TrimSuffix(target, "/"))
	}
	if isStandard(p) {
		return r.complainsOfStandard(dir, p)
	}
	elsewhere := matches("server/...", dir) || matches("bench/...", dir)
	if r.zone == free && elsewhere || slices.ContainsFunc(r.may, func(m string) bool { return matches(m+"/...", p) }) {
		return ""
	}
	return called(dir) + " may not import " + p + ": here each module is an exception, and stands in a row of internal/archtest/policy_test.go"
}

func (r row) complainsOfOurs(dir, target string) string {
	if target == "" {
		target = "."
	}
	switch {
	case matches("server/...", target) && !matches("server/...", dir):
		return called(dir) + " may not import " + called(target) + ": only the server imports the server, so that the library stands without it"
	case !slices.ContainsFunc(r.may, func(m string) bool { return matches(m, target) }):
		return called(dir) + " may not import " + called(target) + ": " + r.why
	default:
		return ""
	}
}

func (r row) complainsOfStandard(dir, p string) string {
	switch {
	case r.zone == above && !calm[p]:
		says := advice(instead, p)
		if says == "" {
			says = "it is not known to be calm; see calm in internal/archtest/policy_test.go"
		}
		return called(dir) + " may not import " + p + ": " + says
	case r.zone == below && advice(seams, p) != "":
		return called(dir) + " may not import " + p + ": " + advice(seams, p) + ", so that the simulator can stand in"
	default:
		return ""
	}
}

// rowOf returns the most specific row for a directory.
func rowOf(rows []row, dir string) (best row, found bool) {
	for _, r := range rows {
		if matches(r.dir, dir) && (!found || len(r.dir) > len(best.dir)) {
			best, found = r, true
		}
	}
	return best, found
}

// matches reports whether a pattern names a directory.
func matches(pattern, dir string) bool {
	top, deep := strings.CutSuffix(pattern, "/...")
	switch {
	case pattern == "...":
		return true
	case deep:
		return dir == top || strings.HasPrefix(dir, top+"/")
	default:
		return dir == pattern
	}
}

// called is how a message names a directory.
func called(dir string) string {
	if dir == "." {
		return "the root package"
	}
	return dir
}

// isStandard follows the go command: a standard path has no dot before its first
// slash.
func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// advice returns what the table says about a path or the closest one above it.
func advice(table map[string]string, p string) string {
	for {
		if says := table[p]; says != "" {
			return says
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return ""
		}
		p = p[:i]
	}
}
