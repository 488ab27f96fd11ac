package archtest

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestToursAreFresh refuses a tour whose links have moved, or name what is gone.
func TestToursAreFresh(t *testing.T) {
	needServer(t)
	stale, err := Renew(root, false)
	if err != nil {
		t.Error(err)
	}
	for _, page := range stale {
		t.Errorf("%s is stale; run make generate", page)
	}
}

// TestRelink renews a page about a small file, and refuses what the file lacks.
func TestRelink(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{"see [`said`](raft/append.go#L99).", "see [`said`](raft/append.go#L4)."},
		{"[`AE3`](raft/append.go) and [text](raft/append.go#L99)", "[`AE3`](raft/append.go#L3) and [text](raft/append.go#L99)"},
	} {
		got, err := Relink("testdata/rules", "page.md", []byte(c.page))
		if err != nil || string(got) != c.want {
			t.Errorf("%s became %s, %v; want %s", c.page, got, err, c.want)
		}
	}
	for _, page := range []string{"[`gone`](raft/append.go#L1)", "[`said`](raft/gone.go#L1)"} {
		if _, err := Relink("testdata/rules", "page.md", []byte(page)); err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("%s was taken: %v", page, err)
		}
	}
}

// said is a link to a line and, in the text behind it, what the line says.
var said = regexp.MustCompile(tourLink.String() + " `([^`]+)`")

// TestToursSayWhatIsThere compares the number or word behind a link with the line.
func TestToursSayWhatIsThere(t *testing.T) {
	needServer(t)
	compared := 0
	for _, page := range Tours {
		for _, m := range said.FindAllStringSubmatch(readText(t, filepath.Join(root, page)), -1) {
			lines := strings.Split(readText(t, filepath.Join(root, filepath.Dir(page), m[2])), "\n")
			line, err := strconv.Atoi(strings.TrimPrefix(m[3], "#L"))
			if err != nil || line > len(lines) || !strings.Contains(lines[line-1], m[4]) {
				t.Errorf("%s says %s of %s, %s%s does not", page, m[4], m[1], m[2], m[3])
			}
			compared++
		}
	}
	if compared == 0 {
		t.Error("no tour says anything of a line")
	}
}

// TestRelayout takes a block over from a package comment, and misses one.
func TestRelayout(t *testing.T) {
	const page = "a\n<!-- layout 1 of raft -->\n```\nold\n```\nz"
	const want = "a\n<!-- layout 1 of raft -->\n```\noffset  field\n     0  all\n```\nz"
	got, err := Relayout("testdata/layout", []byte(page))
	if err != nil || string(got) != want {
		t.Errorf("it became %q, %v; want %q", got, err, want)
	}
	if _, err := Relayout("testdata/layout", []byte(strings.Replace(page, "1 of", "2 of", 1))); err == nil {
		t.Error("a layout that is not there was found")
	}
}
