package archtest

import (
	"fmt"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A layout is a preformatted block of a comment that a page shows: the comment is
// the source, so that it stays beside the code. It is named by its number, from 1,
// in the comment of a package or in the comments of a file.
var layout = regexp.MustCompile("(?ms)^<!-- layout ([0-9]+) of ([a-z/]+(?:\\.go)?) -->\\n```\\n.*?^```$")

// Relayout returns the page with the layouts that it shows as the comments have
// them now. It returns an error that names every one that is not there.
func Relayout(root string, text []byte) ([]byte, error) {
	var missing []string
	fresh := layout.ReplaceAllFunc(text, func(old []byte) []byte {
		m := layout.FindSubmatch(old)
		n, err := strconv.Atoi(string(m[1]))
		where := string(m[2])
		blocks, err2 := preformatted(filepath.Join(root, filepath.FromSlash(where)))
		if err != nil || err2 != nil || n < 1 || n > len(blocks) {
			missing = append(missing, fmt.Sprintf("the comments of %s have no preformatted block %s", where, m[1]))
			return old
		}
		return fmt.Appendf(nil, "<!-- layout %d of %s -->\n```\n%s```", n, where, blocks[n-1])
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(missing, "; "))
	}
	return fresh, nil
}

// preformatted returns the preformatted blocks of a package's comment, or of all
// comments of a file.
func preformatted(where string) (texts []string, err error) {
	files := []string{where}
	if filepath.Ext(where) != ".go" {
		if files, err = filepath.Glob(filepath.Join(where, "*.go")); err != nil {
			return nil, err
		}
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		if name == where {
			for _, group := range file.Comments {
				texts = append(texts, codeBlocks(group.Text())...)
			}
		} else {
			texts = append(texts, codeBlocks(file.Doc.Text())...)
		}
	}
	return texts, nil
}

func codeBlocks(text string) (texts []string) {
	var p comment.Parser
	for _, block := range p.Parse(text).Content {
		if code, ok := block.(*comment.Code); ok {
			texts = append(texts, code.Text)
		}
	}
	return texts
}
