package examples_test

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAnEmbeddedLibraryIsSmall measures what a program gets that embeds the library:
// other modules, and bytes of its executable without symbols.
func TestAnEmbeddedLibraryIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("it links a program")
	}
	const mostModules, mostBytes = 2, 6 << 20
	path := filepath.Join(t.TempDir(), "three.exe")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./three")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) > mostModules {
		t.Errorf("it links %d other modules, at most %d are allowed: %v", len(info.Deps), mostModules, info.Deps)
	}
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes and %d other modules", file.Size(), len(info.Deps))
	if file.Size() > mostBytes {
		t.Errorf("it has %d bytes, at most %d are allowed", file.Size(), mostBytes)
	}
}
