package main

import (
	"os/exec"
	"syscall"
)

// isolate puts a child in a process group of its own, so that Ctrl-C reaches
// only this process, which then stops the children in order; and has the
// kernel kill the child should this process die without stopping it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
