package main

import (
	"os/exec"
	"syscall"
)

// isolate puts a child into its own process group, so that Ctrl-C reaches only this
// process, which then stops the children in order. It also makes the kernel kill the
// child if this process dies without stopping it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
