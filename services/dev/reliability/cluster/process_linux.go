package cluster

import "syscall"

// EndWithParent makes the kernel kill a broker when the test that started it ends, in
// whatever way.
func EndWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
