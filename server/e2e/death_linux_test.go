package e2e

import (
	"os/exec"
	"syscall"
)

// mortal lets a program die with us, even if we are killed.
func mortal(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
