package cluster

import "syscall"

// endWithParent lets a broker die with the test that started it, however that
// ends.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
