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

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	term = regexp.MustCompile(`(?m)^\| ([a-z][a-z -]*) \| (\p{Han}+) \|`)
)

// TestLinks follows every relative link of every page.
func TestLinks(t *testing.T) {
	needServer(t)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, err := url.Parse(m[1])
			if err != nil || target.IsAbs() || target.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(target.Path))); err != nil {
				t.Errorf("%s links to %s, which is not there", strings.TrimPrefix(page, root+"/"), m[1])
			}
		}
	}
}

// TestGlossariesAgree holds the English and the Chinese list of terms together.
func TestGlossariesAgree(t *testing.T) {
	english, chinese := terms(t, "docs/glossary.md"), terms(t, "docs/glossary.zh.md")
	if len(english) == 0 || !slices.Equal(english, chinese) {
		t.Errorf("the glossaries differ:\n%v\n%v", english, chinese)
	}
	if !slices.IsSorted(english) {
		t.Error("the glossary is not sorted")
	}
}

// terms returns the first two columns of a glossary's rows.
func terms(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range term.FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1]+"\t"+m[2])
	}
	return rows
}

// pages returns the markdown pages of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch base := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin"):
			return filepath.SkipDir
		case filepath.Ext(base) == ".md":
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
