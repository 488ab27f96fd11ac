package main

import (
	stdbytes "bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/andybalholm/brotli"
)

// size is what a browser downloads to run the core, in bytes.
type size struct{ plain, packed int }

func (s size) print(w io.Writer) {
	fmt.Fprintf(w, "The core for js/wasm (%s): %d bytes, %d after brotli at its best (quality 11).\n\n", minimal, s.plain, s.packed)
}

// minimal is the program that is weighed: it uses all of the core and nothing else.
const minimal = "github.com/quorate-db/quorate/bench/core/minimal"

// wasm builds the core for a browser and packs it as a server would.
func wasm() (size, error) {
	dir, err := os.MkdirTemp("", "quorate-wasm")
	if err != nil {
		return size{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays behind is the system's to clean
	file := filepath.Join(dir, "core.wasm")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, minimal)
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if said, err := build.CombinedOutput(); err != nil {
		return size{}, fmt.Errorf("build the core for js/wasm: %w: %s", err, said)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		return size{}, err
	}
	var packed stdbytes.Buffer
	w := brotli.NewWriterOptions(&packed, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: 24})
	if _, err := w.Write(code); err != nil {
		return size{}, err
	}
	if err := w.Close(); err != nil {
		return size{}, err
	}
	return size{len(code), packed.Len()}, nil
}
