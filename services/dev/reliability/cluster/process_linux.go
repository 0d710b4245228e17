package cluster

import "syscall"

// EndWithParent lets a broker die with the test that started it, however that
// ends.
func EndWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
