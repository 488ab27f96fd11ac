//go:build unix && !linux

package e2e

import "os/exec"

// mortal would let a program die with us. This system cannot; each test kills
// what it started when it ends.
func mortal(*exec.Cmd) {}
