package docs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/node"
)

// command is a line that a page shows behind a dollar sign, and the lines that
// it is said to print.
type command struct {
	line string
	want []string
}

var console = regexp.MustCompile("(?ms)^```console\\n(.*?)^```$")

func commands(text string) (all []command) {
	for _, block := range console.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSuffix(line, "\n")
			if shown, ok := strings.CutPrefix(line, "$ "); ok {
				all = append(all, command{line: shown})
			} else if n := len(all); n > 0 && line != "" {
				all[n-1].want = append(all[n-1].want, line)
			}
		}
	}
	return all
}

// check compares what was printed with what the page says. A page may leave out
// lines of the header of an answer, and write an ellipsis for anything.
func (c command) check(t *testing.T, printed string) {
	t.Helper()
	lines := strings.FieldsFunc(printed, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(c.want) == 0 {
		t.Errorf("%s: the page does not say what it prints:\n%s", c.line, printed)
	}
	for _, want := range c.want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(spaced(want)), "…", ".*")
		matches := regexp.MustCompile("^" + pattern + "$").MatchString
		if !slices.ContainsFunc(lines, func(line string) bool { return matches(spaced(line)) }) {
			t.Errorf("$ %s\nthe page says\n%s\nit printed\n%s", c.line, want, printed)
		}
	}
}

// spaced makes columns comparable whose width differs from run to run.
func spaced(line string) string { return strings.Join(strings.Fields(line), " ") }

var word = regexp.MustCompile(`'([^']*)'|(\S+)`)

// words splits a command line as a shell does that knows single quotes only.
func words(line string) (all []string) {
	for _, m := range word.FindAllStringSubmatch(line, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

// curl does what curl does with the few options that the pages use.
func curl(args []string) (string, error) {
	method, body, url, head := "GET", "", "", false
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		if args[i] == "-i" {
			head = true
			continue
		}
		if !strings.HasPrefix(args[i], "-") || i+1 == len(args) {
			url = args[i]
			continue
		}
		option, value := args[i], args[i+1]
		i++
		switch option {
		case "-X":
			method = value
		case "--data-binary":
			body = value
		case "-H":
			name, text, _ := strings.Cut(value, ": ")
			header.Set(name, text)
		default:
			return "", fmt.Errorf("this curl does not know %s", option)
		}
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out strings.Builder
	if head {
		fmt.Fprintf(&out, "%s %s\n", resp.Proto, resp.Status)
		_ = resp.Header.Write(&out) // a Builder takes everything
	}
	_, err = io.Copy(&out, resp.Body)
	return out.String(), err
}

// freePorts returns a port that is free, as are those so far behind it.
func freePorts(t *testing.T, behind ...int) int {
	t.Helper()
	for port := 31000; port < 32700; port += 100 {
		if free(port) && !slices.ContainsFunc(behind, func(n int) bool { return !free(port + n) }) {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// TestHTTPPage runs the commands of docs/http-api.md against a node.
func TestHTTPPage(t *testing.T) {
	port := freePorts(t, 1)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	node.Flags(fs)
	err := fs.Parse([]string{"--name", "n1", "--data-dir", t.TempDir(), "--heartbeat-interval", "100", "--election-timeout", "1000",
		"--listen-client-urls", url, "--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", port+1)})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := node.Load(fs, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the node ended with %v", err)
		}
	}()
	await(t, url)
	for _, c := range commands(read(t, "docs/http-api.md")) {
		args := words(strings.ReplaceAll(c.line, "http://127.0.0.1:2379", url))
		if args[0] != "curl" {
			t.Fatalf("%s: only curl can be run here", c.line)
		}
		printed, err := curl(args[1:])
		if err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		c.check(t, printed)
	}
}

// await returns once the node serves and has told the cluster who it is.
func await(t *testing.T, url string) {
	t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{url}, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.Get(ctx, []byte("nothing")); err != nil && !isNotFound(err) {
		t.Fatal(err)
	}
	for {
		m, err := c.Members(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Committed && len(m.Members[0].ClientURLs) > 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func isNotFound(err error) bool { return errors.Is(err, client.ErrNotFound) }

// TestReadme runs the commands of README.md: it builds the program, starts the
// demo and compares what both say.
func TestReadme(t *testing.T) {
	program := filepath.Join(t.TempDir(), "quorate")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	port := freePorts(t, 1, 10, 11, 20, 21)
	var said string
	for _, c := range commands(read(t, "README.md")) {
		for i := range 3 {
			c.line = strings.ReplaceAll(c.line, fmt.Sprintf("127.0.0.1:%d", 2379+10*i), fmt.Sprintf("127.0.0.1:%d", port+10*i))
		}
		switch args := words(c.line); args[0] {
		case "go":
			switch args[1] {
			case "run":
				said = strings.Join(c.want, "\n")
			case "build":
				build := exec.Command("go", "build", "-o", program, args[len(args)-1])
				build.Dir = root
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", c.line, err, out)
				}
				if got := demo(t, program, port); !strings.HasPrefix(anywhere(got), anywhere(said)) {
					t.Errorf("the page says of the demo\n%s\nit printed\n%s", said, got)
				}
			}
		case "curl":
			printed, err := curl(args[1:])
			if err != nil {
				t.Fatalf("%s: %v", c.line, err)
			}
			c.check(t, printed)
		case "bin/quorate":
			out, err := exec.Command(program, args[1:]...).CombinedOutput()
			if err != nil && len(c.want) > 0 && c.want[0] != string(out) {
				t.Errorf("%s: %v\n%s", c.line, err, out)
			}
			c.check(t, string(out))
		}
	}
}

// demo starts a demo and returns what it prints up to the lines to copy.
func demo(t *testing.T, program string, port int) string {
	t.Helper()
	cmd := exec.Command(program, "demo", "--base-port", fmt.Sprint(port), "--data-dir", t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It stops its nodes first, so that nobody writes to the directory any more.
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			_ = cmd.Process.Kill() // where there is no such signal
		}
		_ = cmd.Wait()
	})
	var all strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&all, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready after") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return all.String()
		}
	}
	t.Fatalf("the demo ended:\n%s", all.String())
	return ""
}

var varying = regexp.MustCompile(`/[^ ]*|[0-9.]+[a-zµ]*`)

// anywhere is what the demo prints without what differs from run to run: paths,
// numbers, who leads.
func anywhere(text string) string {
	return spaced(varying.ReplaceAllString(strings.ReplaceAll(text, "\n", " "), "_"))
}
