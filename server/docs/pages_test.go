// Package docs_test runs the commands that the pages show, and compares their
// tables with the program; make generate writes the tables anew. The pages lie
// outside of this module, so that go test does not notice when only they have
// changed: give it -count=1 then.
package docs_test

//go:generate go test -run TestTables -rewrite

import (
	"flag"
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

var rewrite = flag.Bool("rewrite", false, "write the tables of the pages anew")

// table is one that a page copies from the program.
type table struct{ page, head, rows string }

// parts splits the page around the rows of the table.
func (c table) parts(t *testing.T, text string) (before, rows, after string) {
	t.Helper()
	begin := strings.Index(text, "\n"+c.head+"\n|---")
	if begin < 0 {
		t.Fatalf("%s has no table that begins with %s", c.page, c.head)
	}
	begin += 1 + len(c.head) + 1
	begin += strings.Index(text[begin:], "\n") + 1
	end := begin
	for line := range strings.Lines(text[begin:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		end += len(line)
	}
	return text[:begin], text[begin:end], text[end:]
}

// TestTables compares the tables of flags and problems with the program's.
func TestTables(t *testing.T) {
	for _, c := range []table{
		{"docs/operations.md", "| flag | default | meaning |", flags()},
		{"docs/etcd-compat.md", "| flag of etcd | here |", foreign()},
		{"docs/http-api.md", "| code | status | retry | meaning |", problems()},
	} {
		before, rows, after := c.parts(t, read(t, c.page))
		if *rewrite {
			if err := os.WriteFile(filepath.Join(root, c.page), []byte(before+c.rows+after), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if rows != c.rows {
			t.Errorf("a table of %s is stale; run make generate. It has\n%s\nthe program has\n%s", c.page, rows, c.rows)
		}
	}
}

func problems() string {
	var rows strings.Builder
	for _, k := range wire.Kinds {
		fmt.Fprintf(&rows, "| `%s` | %d | %s | %s |\n", k.Code, k.Status, k.Retry, k.Title)
	}
	return rows.String()
}

func flags() string {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.SortFlags = false
	node.Flags(fs)
	var rows strings.Builder
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		def := ""
		if f.DefValue != "" {
			def = "`" + f.DefValue + "` "
		}
		fmt.Fprintf(&rows, "| `--%s` | %s| %s |\n", f.Name, def, f.Usage)
	})
	return rows.String()
}

// foreign are the flags that are there for the sake of etcd's command lines; those
// of which the same is to be said stand together.
func foreign() string {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.SortFlags = false
	node.Flags(fs)
	var says []string
	names := make(map[string][]string)
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			return
		}
		if names[f.Usage] == nil {
			says = append(says, f.Usage)
		}
		names[f.Usage] = append(names[f.Usage], "`--"+f.Name+"`")
	})
	var rows strings.Builder
	for _, s := range says {
		fmt.Fprintf(&rows, "| %s | %s |\n", strings.Join(names[s], ", "), s)
	}
	return rows.String()
}

var (
	route  = regexp.MustCompile(`"(/[^"]*)", methods\{(.*)\}\)`)
	byKey  = regexp.MustCompile(`:= methods\{(.*)\}`)
	method = regexp.MustCompile(`"([A-Z]+)": s\.`)
	listed = regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\|")
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
	for _, row := range listed.FindAllStringSubmatch(read(t, "docs/http-api.md"), -1) {
		got = append(got, row[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/http-api.md lists the routes\n%s\nthe server has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
