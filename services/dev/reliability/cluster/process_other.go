//go:build !linux

package cluster

import "syscall"

func EndWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
