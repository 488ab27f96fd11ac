package archtest

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Place is a line that names a rule.
type Place struct {
	File string // from the root of the repository, with slashes
	Line int    // counted from 1
}

// Index says where each rule is named.
type Index struct {
	Code    map[string][]Place // in comments of the program itself, tests left out
	Scripts map[string][]Place // in comments of the scripts, the first mention in each
	Tests   map[string][]Place // in comments of Go tests, the first mention in each

	subject map[string]string // of each script, by file: the rule that it names first
}

// Page is where the rendered index belongs, from the root of the repository.
const Page = "docs/rules.md"

// indexed are the directories whose comments may carry tags. Elsewhere L1 is a
// cache and M1 a computer.
var indexed = []string{"raft", "codec", "engine", "wal", "snap", "check", "sim", "server/kv"}

// A tag is a family and a number, and no part of a longer word: REQ-C1 is none.
var tag = regexp.MustCompile(`(?:^|[^A-Za-z0-9_-])((?:ALL|AE|RV|PV|IS|SN|RD|TR|SL|IN|CL|F|C|L|M)[0-9]+)\b`)

// ReadIndex looks for tags below root, the top of the repository. It returns an
// error if a file cannot be read or parsed.
func ReadIndex(root string) (*Index, error) {
	x := &Index{Code: map[string][]Place{}, Scripts: map[string][]Place{}, Tests: map[string][]Place{}, subject: map[string]string{}}
	for _, dir := range indexed {
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(dir)), func(name string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // a room that is not built yet
			}
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			return x.read(name, filepath.ToSlash(rel))
		})
		if err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (x *Index) read(name, rel string) error {
	switch {
	case strings.Contains(rel, "/testdata/"):
		if path.Ext(rel) == ".txt" {
			return x.readScript(name, rel)
		}
		return nil
	case path.Ext(rel) != ".go":
		return nil
	default:
		return x.readGo(name, rel)
	}
}

func (x *Index) readGo(name, rel string) error {
	into, add := x.Code, every
	if strings.HasSuffix(rel, "_test.go") {
		into, add = x.Tests, first
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			top := fset.Position(c.Pos()).Line
			for i, line := range strings.Split(c.Text, "\n") {
				for _, id := range Tags(line) {
					into[id] = add(into[id], Place{rel, top + i})
				}
			}
		}
	}
	return nil
}

func (x *Index) readScript(name, rel string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		for _, id := range Tags(line) {
			x.Scripts[id] = first(x.Scripts[id], Place{rel, i + 1})
			if x.subject[rel] == "" {
				x.subject[rel] = id
			}
		}
	}
	return nil
}

func every(places []Place, p Place) []Place { return append(places, p) }

// first leaves out what is not the first mention in its file.
func first(places []Place, p Place) []Place {
	if n := len(places); n > 0 && places[n-1].File == p.File {
		return places
	}
	return append(places, p)
}

// Tags returns the rules that a line names, each once.
func Tags(line string) []string {
	var ids []string
	for _, m := range tag.FindAllStringSubmatch(line, -1) {
		if !slices.Contains(ids, m[1]) {
			ids = append(ids, m[1])
		}
	}
	return ids
}

// Unknown returns where rules are named that do not exist, as file:line: name. Tests
// are left out: they also speak of scenarios, whose names look alike.
func (x *Index) Unknown() []string {
	known := map[string]bool{}
	for _, chapter := range Rules {
		for _, r := range chapter.Rules {
			known[r.ID] = true
		}
	}
	var unknown []string
	for _, named := range []map[string][]Place{x.Code, x.Scripts} {
		for id, places := range named {
			for _, p := range places {
				if !known[id] {
					unknown = append(unknown, fmt.Sprintf("%s:%d: %s", p.File, p.Line, id))
				}
			}
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Missing returns what each rule lacks: a line, and a script or, where the rule is
// carried out around the core, a test.
func (x *Index) Missing() []string {
	var missing []string
	for _, chapter := range Rules {
		for _, r := range chapter.Rules {
			if len(x.Code[r.ID]) == 0 {
				missing = append(missing, r.ID+" stands at no line")
			} else if !slices.ContainsFunc(x.Code[r.ID], r.athome) {
				missing = append(missing, r.ID+" stands at no line of "+r.Home)
			}
			if len(x.shown(r)) == 0 {
				missing = append(missing, r.ID+" is shown by no script")
			}
		}
	}
	return missing
}

// shown returns the scripts that show a rule, first those of which it is the
// subject; tests, if no script can.
func (x *Index) shown(r Rule) []Place {
	if elsewhere[r.ID] != "" {
		return x.Tests[r.ID]
	}
	return best(x.Scripts[r.ID], func(p Place) bool { return x.subject[p.File] == r.ID })
}

// best puts some places before the others, and changes nothing else.
func best(places []Place, better func(Place) bool) []Place {
	rank := func(p Place) int {
		if better(p) {
			return 0
		}
		return 1
	}
	sorted := slices.Clone(places)
	slices.SortStableFunc(sorted, func(a, b Place) int { return rank(a) - rank(b) })
	return sorted
}

const preface = `<!-- Written by "make generate" from internal/archtest/rules.go and the tags in the code. Not edited by hand. -->

# The rules of Raft, and where they stand

Every rule has a short name. It stands as a tag in a comment at the line that carries the rule out
(` + "`// AE3 §5.3: why`" + `), and in the first lines of the scripts that show it. To find one: look it up here, or
` + "`grep -rnw AE3 raft/`" + `.

§n is the Raft paper in its extended version (Ongaro and Ousterhout, *In Search of an Understandable Consensus
Algorithm*), §n d is Ongaro's dissertation (*Consensus: Bridging Theory and Practice*). The words are ours.
`

// Markdown renders the index as the page.
func (x *Index) Markdown() []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	for _, chapter := range Rules {
		fmt.Fprintf(&b, "\n## %s\n\n| rule | what it says | source | lines | scripts |\n|---|---|---|---|---|\n", chapter.Title)
		for _, r := range chapter.Rules {
			fmt.Fprintf(&b, "| <a id=%q></a>%s | %s | %s | %s | %s |\n",
				strings.ToLower(r.ID), r.ID, r.Says, r.Source, r.lines(x.Code[r.ID]), links(x.shown(r), scriptName))
		}
	}
	return b.Bytes()
}

// lines puts the places in the rule's home first.
func (r Rule) lines(places []Place) string { return links(best(places, r.athome), codeName) }

func (r Rule) athome(p Place) bool {
	for home := range strings.SplitSeq(r.Home, ", ") {
		if strings.HasPrefix(p.File, path.Join("raft", home)) {
			return true
		}
	}
	return false
}

func links(places []Place, name func(Place) string) string {
	var all []string
	for _, p := range places {
		target := strings.ReplaceAll(p.File, " ", "%20")
		all = append(all, fmt.Sprintf("[%s](../%s#L%d)", name(p), target, p.Line))
	}
	return strings.Join(all, ", ")
}

func codeName(p Place) string {
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(p.File, "raft/"), p.Line)
}

// scriptName is the claim that a script makes: its name.
func scriptName(p Place) string {
	if path.Ext(p.File) == ".go" {
		return codeName(p)
	}
	return strings.TrimSuffix(path.Base(p.File), ".txt")
}
