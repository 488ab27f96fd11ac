//go:build linux

package torture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	// The program that is built consists of this and of its command line. Without
	// the import, the go command would take an old result of this test for the
	// result of a program that has changed since.
	_ "github.com/quorate-db/quorate/server/node"
)

// source is the directory of the program.
const source = "../cmd/quorate"

// binary is the path of the program that is tortured.
var binary string

// interrupted ends with Ctrl-C: then everything is taken down and nothing is kept.
var interrupted context.Context

// inside is the environment variable that tells this program that it runs in
// namespaces of its own, and in which.
const inside = "QUORATE_TORTURE_INSIDE"

// TestMain runs the tests in a network and a mount namespace of their own.
// Whatever is made there, be it a device, a route or a disk, is gone when the last
// process in it is, however that ends; nothing outside can be hit by mistake.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, is := os.LookupEnv(inside); !is {
		code, err := enter()
		if err == nil {
			os.Exit(code)
		}
		notice("no namespaces, so only kills and stops: %v", err)
	}
	os.Exit(run(m))
}

// notice tells what is left out, and why.
func notice(format string, args ...any) {
	fmt.Printf("NOTICE torture: "+format+"\n", args...)
}

// enter runs this program once more, in namespaces of its own, and returns how it
// ended. Root may do so, and on most systems anybody as root of a namespace.
func enter() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	kinds, flags := "mount", uintptr(syscall.CLONE_NEWNS)
	if err := networkTools(); err != nil {
		notice("no network faults: %v", err)
	} else {
		kinds, flags = "mount,network", flags|syscall.CLONE_NEWNET
	}
	// A process dies with the thread that started it.
	runtime.LockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+kinds)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range interrupts {
			_ = cmd.Process.Signal(s) // it fails only if it has ended, and then so do we
		}
	}()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 0, err
	}
	return max(cmd.ProcessState.ExitCode(), 0) + signaled(cmd.ProcessState), nil
}

// seclude keeps what is mounted here from being seen outside. The program ip keeps
// the names of namespaces in /run, and there they would stay.
func seclude() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts cannot be made private: %w", err)
	}
	if err := syscall.Mount("none", "/run", "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("a /run of our own: %w", err)
	}
	return nil
}

// signaled is 1 for a process that a signal has ended.
func signaled(s *os.ProcessState) int {
	if s.ExitCode() < 0 {
		return 1
	}
	return 0
}

// run builds the program, runs the tests, and tells how far the goals are met.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "quorate-torture-program-")
	if err == nil && os.Getenv(inside) != "" {
		err = seclude()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "quorate")
	build := exec.Command("go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
		return 1
	}
	var stop context.CancelFunc
	interrupted, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := m.Run()
	goals.print(os.Stdout)
	return code
}

// lookAtSource does for the command line what the import above does for the rest:
// the go command notes which files a test has looked at.
func lookAtSource(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil || len(files) == 0 {
		t.Fatalf("no source in %s: %v", source, err)
	}
}
