//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// isolate puts a child in a process group of its own, so that Ctrl-C reaches
// only this process, which then stops the children in order. Only Linux can
// also tie a child's life to this process: elsewhere, after a kill -9 of this
// one, the next start says which ports the orphans still hold.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
