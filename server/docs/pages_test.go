// Package docs_test runs the commands that the pages show, and compares their
// tables with the program.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/node"
)

// root is the top of the repository, seen from this test.
const root = "../.."

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the rows of a page's tables whose first cell matches, without
// the bars around them.
func rows(text, first string) (found []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| ("+first+" \\|.*) \\|$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestProblems compares the table of problems with the program's.
func TestProblems(t *testing.T) {
	var want []string
	for _, k := range wire.Kinds {
		want = append(want, fmt.Sprintf("`%s` | %d | %s | %s", k.Code, k.Status, k.Retry, k.Title))
	}
	got := rows(read(t, "docs/http-api.md"), "`[a-z-]+` \\| [45][0-9]{2}")
	if !slices.Equal(got, want) {
		t.Errorf("docs/http-api.md lists the problems\n%s\nthe program has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFlags compares the table of flags with the program's.
func TestFlags(t *testing.T) {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.SortFlags = false
	node.Flags(fs)
	var want []string
	fs.VisitAll(func(f *pflag.Flag) {
		def := ""
		if f.DefValue != "" {
			def = "`" + f.DefValue + "`"
		}
		want = append(want, fmt.Sprintf("`--%s` | %s | %s", f.Name, def, f.Usage))
	})
	got := rows(read(t, "docs/operations.md"), "`--[a-z-]+` \\| [^|]*")
	if !slices.Equal(got, want) {
		t.Errorf("docs/operations.md lists the flags\n%s\nthe program has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	route  = regexp.MustCompile(`"(/[^"]*)", methods\{(.*)\}\)`)
	byKey  = regexp.MustCompile(`:= methods\{(.*)\}`)
	method = regexp.MustCompile(`"([A-Z]+)": s\.`)
)

// TestRoutes compares the table of routes with those that the server has.
func TestRoutes(t *testing.T) {
	source := read(t, "server/api/httpapi/server.go")
	var want []string
	for _, m := range route.FindAllStringSubmatch(source, -1) {
		for _, verb := range method.FindAllStringSubmatch(m[2], -1) {
			want = append(want, verb[1]+" "+m[1])
		}
	}
	for _, verb := range method.FindAllStringSubmatch(byKey.FindString(source), -1) {
		want = append(want, verb[1]+" /v1/kv/{key}")
	}
	var got []string
	for _, row := range rows(read(t, "docs/http-api.md"), "`[A-Z]+ /[^`]*`") {
		got = append(got, strings.Split(row, "`")[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/http-api.md lists the routes\n%s\nthe server has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
