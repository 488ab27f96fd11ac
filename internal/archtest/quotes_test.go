package archtest

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a page.
type block struct {
	mark  string // what the comment in front of it says: "quoted from FILE", "bytes of FILE"
	kind  string // the word behind the fence
	lines []string
}

var fenced = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]*) -->\n)?^```([a-z]*)\n(.*?)^```$")

func blocks(text string) (all []block) {
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		all = append(all, block{m[1], m[2], strings.Split(strings.TrimSuffix(m[3], "\n"), "\n")})
	}
	return all
}

// TestQuotes compares what pages quote with the files that they name, byte
// layouts with golden files, and refuses Go code that comes from nowhere.
func TestQuotes(t *testing.T) {
	needServer(t)
	for _, page := range pages(t) {
		text := readText(t, page)
		for _, b := range blocks(text) {
			if err := b.check(t); err != nil {
				t.Errorf("%s: %v", strings.TrimPrefix(page, root+"/"), err)
			}
		}
	}
}

func (b block) check(t *testing.T) error {
	if file, ok := strings.CutPrefix(b.mark, "quoted from "); ok {
		source := plain(strings.Split(readText(t, filepath.Join(root, file)), "\n"))
		if !strings.Contains("\n"+source+"\n", "\n"+plain(b.lines)+"\n") {
			return fmt.Errorf("the block that begins with %q is not in %s as it stands here", b.lines[0], file)
		}
		return nil
	}
	if file, ok := strings.CutPrefix(b.mark, "bytes of "); ok {
		golden := strings.Join(strings.Fields(readText(t, filepath.Join(root, file))), "")
		if got := b.bytes(); got != golden {
			return fmt.Errorf("the bytes explained are\n%s\nin %s are\n%s", got, file, golden)
		}
		return nil
	}
	if b.kind == "go" {
		return fmt.Errorf("the Go block that begins with %q does not say where it is quoted from", b.lines[0])
	}
	return nil
}

// plain is text without indentation and comment signs, so that a package comment
// and a page can say the same.
func plain(lines []string) string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "//"))
	}
	return strings.Join(out, "\n")
}

// bytes are the hexadecimal words at the beginnings of the lines, up to the first
// two spaces.
func (b block) bytes() string {
	var all strings.Builder
	for _, line := range b.lines {
		column, _, _ := strings.Cut(line, "  ")
		all.WriteString(strings.ReplaceAll(column, " ", ""))
	}
	if _, err := hex.DecodeString(all.String()); err != nil {
		return err.Error()
	}
	return all.String()
}

// TestReadmesAgree holds the two READMEs together: the same code and the same
// commands, in the same order. Neither is longer than a reader's patience.
func TestReadmesAgree(t *testing.T) {
	const most = 150 // lines
	english, chinese := readText(t, filepath.Join(root, "README.md")), readText(t, filepath.Join(root, "README.zh.md"))
	same := func(a, b block) bool { return a.mark == b.mark && a.kind == b.kind && slices.Equal(a.lines, b.lines) }
	if !slices.EqualFunc(blocks(english), blocks(chinese), same) {
		t.Error("the code blocks of README.md and README.zh.md differ")
	}
	for name, text := range map[string]string{"README.md": english, "README.zh.md": chinese} { //order: each is measured for itself
		if n := strings.Count(text, "\n"); n > most {
			t.Errorf("%s has %d lines, at most %d are allowed", name, n, most)
		}
	}
}

// TestBlocksAreRead sees that a quotation is found, and a false one refused.
func TestBlocksAreRead(t *testing.T) {
	const page = "text\n\n<!-- quoted from internal/archtest/doc.go -->\n```go\n%s\n```\n\n```sh\nls\n```\n"
	found := blocks(fmt.Sprintf(page, "package archtest"))
	if len(found) != 2 || found[0].check(t) != nil || found[1].check(t) != nil {
		t.Errorf("a true quotation was refused: %q", found)
	}
	if wrong := blocks(fmt.Sprintf(page, "package other"))[0]; wrong.check(t) == nil {
		t.Error("a false quotation was taken")
	}
	explained := block{mark: "bytes of codec/testdata/empty-record.hex", lines: []string{"21 00  record", "01 000000  group"}}
	if err := explained.check(t); err != nil {
		t.Error(err)
	}
	explained.lines[1] = "02 000000  group"
	if explained.check(t) == nil {
		t.Error("wrong bytes were taken")
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
