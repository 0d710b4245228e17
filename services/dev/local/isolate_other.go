//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// isolate puts a child into its own process group, so that Ctrl-C reaches only this
// process, which then stops the children in order. Only Linux can also kill a child when
// this process dies: elsewhere, after a kill -9 of this one, the next start reports which
// ports the orphans still use.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
