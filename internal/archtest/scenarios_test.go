package archtest

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scenarios are the IDs of the catalogue, by the letter of their section. Numbers that
// are missing were never given.
var scenarios = map[string]string{
	"E": "01 02 03 05 06 07 08 09 10 11 12 13 14 15 16 17 19 20 21",
	"L": "01 02 03 04 06 07 08 09 10 11 12 13 15 16 17 18 19",
	"R": "01 03 04 05 06 07 08 09",
	"M": "01 02 03 05 06 07 08 09 11 12 13 14 15 16 17",
	"S": "01 02 03 05 06 07 08 09 10 11 12 13 14",
	"D": "01 02 03 04 05 07 08 09 10 12 13 14 15 16",
	"K": "01 02 03 04 05 06 07 08",
	"W": "01 02 03 04 05 07 08 09 10 11 12 13 14 15",
	"T": "01 02 04",
	"O": "01 02 04 05 06",
}

var (
	scenarioRow  = regexp.MustCompile(`(?m)^\| ([A-Z]\d\d) \| ([^|]+) \| ([^|]*) \| ([^|]+) \|$`)
	scenarioTest = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
	scenarioTag  = regexp.MustCompile(`scenario-([A-Z]\d\d)`)
	testName     = regexp.MustCompile(`(?m)^func Test((?:[A-Z]\d+)+)`)
	testPart     = regexp.MustCompile(`[A-Z]\d+`)
)

// TestScenarios holds docs/scenarios.md against the tests: each scenario has a line, each
// test that a line names is there, and none is said to pass without a test that has
// its ID in its name, or, if it is a script, in its comments.
func TestScenarios(t *testing.T) {
	needServer(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, row := range scenarioRow.FindAllStringSubmatch(string(text), -1) {
		id, tests, state := row[1], row[3], strings.TrimSpace(row[4])
		lines[id]++
		shown := false
		for _, test := range scenarioTest.FindAllStringSubmatch(tests, -1) {
			shown = namedTest(t, id, test[1], test[2]) || shown
		}
		kind, why, _ := strings.Cut(state, ":")
		switch kind {
		case "passes":
			if !shown {
				t.Errorf("%s is said to pass, but none of its tests has this ID", id)
			}
		case "open", "waits for", "not applicable":
			if len(strings.TrimSpace(why)) < 10 {
				t.Errorf("%s is %s, and nothing says why", id, kind)
			}
		default:
			t.Errorf("%s is %q: it must be passes, open, waits for or not applicable", id, kind)
		}
	}
	for _, id := range scenarioIDs() {
		if lines[id] != 1 {
			t.Errorf("%s has %d lines in docs/scenarios.md", id, lines[id])
		}
		delete(lines, id)
	}
	for id := range lines {
		t.Errorf("the catalogue has no %s", id)
	}
}

// namedTest looks for a test or a script that the page names, and reports whether it
// has the ID.
func namedTest(t *testing.T, id, name, link string) bool {
	t.Helper()
	path, err := url.PathUnescape(link)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "docs", filepath.FromSlash(path)))
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return false
	}
	if strings.HasSuffix(path, ".txt") {
		if want := strings.TrimSuffix(filepath.Base(path), ".txt"); name != want {
			t.Errorf("%s calls a script %q that is called %q", id, name, want)
		}
		return strings.Contains(string(source), "scenario-"+id)
	}
	name = strings.Trim(name, "`")
	if !strings.Contains(string(source), "func "+name+"(") {
		t.Errorf("%s: there is no %s in %s", id, name, path)
		return false
	}
	return strings.Contains(name, id)
}

func scenarioIDs() (ids []string) {
	for letter, numbers := range scenarios {
		for number := range strings.FieldsSeq(numbers) {
			ids = append(ids, letter+number)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestScenarioTagsAreScenarios refuses IDs of scenarios that there are none of, in the
// names of tests and in scripts.
func TestScenarioTagsAreScenarios(t *testing.T) {
	known := scenarioIDs()
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".txt") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, id := range tagged(string(source)) {
			found++
			if !slices.Contains(known, id) {
				t.Errorf("%s names %s, of which the catalogue knows nothing", path, id)
			}
		}
		return err
	})
	if err != nil || found < 50 {
		t.Errorf("%d IDs were found, %v", found, err)
	}
}

// tagged returns the IDs in the comments of a script or in the names of tests.
func tagged(source string) (ids []string) {
	for _, m := range scenarioTag.FindAllStringSubmatch(source, -1) {
		ids = append(ids, m[1])
	}
	for _, m := range testName.FindAllStringSubmatch(source, -1) {
		for _, part := range testPart.FindAllString(m[1], -1) {
			if len(part) == 3 { // shorter ones are requirements
				ids = append(ids, part)
			}
		}
	}
	return ids
}
