package archtest

import (
	"go/importer"
	"regexp"
	"testing"
)

// samples are the rows of the packages in testdata.
var samples = []row{
	{"imports", above, []string{"raft/quorum", "example.org/allowed"}, "because"},
	{"above", above, nil, "because"},
	{"below", below, nil, "because"},
}

// TestChecksCanFail holds the checks against packages that break the policy and
// say at each line what they expect to hear.
func TestChecksCanFail(t *testing.T) {
	imports := sample(t, "imports")
	compare(t, imports, imports.imports(samples))
	if len(imports.imports(nil)) != 1 {
		t.Error("a package without a row is not refused")
	}

	below := sample(t, "below")
	compare(t, below, append(below.imports(samples), below.clocks()...))

	above := sample(t, "above")
	loops, err := above.mapOrder(importer.ForCompiler(above.fset, "gc", exports(t, []string{"fmt", "maps", "slices"})))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, above, append(above.waits(), loops...))
}

func sample(t *testing.T, dir string) *source {
	t.Helper()
	s, err := readPackage(dir, "testdata/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var want = regexp.MustCompile(`// want "(.*)"`)

// compare holds findings against the want comments of a package.
func compare(t *testing.T, s *source, found []finding) {
	t.Helper()
	wants := map[int]*regexp.Regexp{}
	for _, group := range s.files[0].Comments {
		for _, c := range group.List {
			if m := want.FindStringSubmatch(c.Text); m != nil {
				wants[s.fset.Position(c.Pos()).Line] = regexp.MustCompile(m[1])
			}
		}
	}
	for _, f := range found {
		if w := wants[f.at.Line]; w == nil || !w.MatchString(f.says) {
			t.Errorf("%v: unexpected: %s", f.at, f.says)
		}
		delete(wants, f.at.Line)
	}
	for line, w := range wants {
		t.Errorf("%s:%d: nobody says %q", s.dir, line, w)
	}
}
