package cluster

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// LimitFileSize makes a node's writes beyond that size of a file fail, as on a full disk.
// It lasts until the node is restarted.
func (c *Cluster) LimitFileSize(i int, bytes uint64) error {
	n := c.nodes[i]
	n.mu.Lock()
	process := n.process
	n.mu.Unlock()
	if process == nil {
		return fmt.Errorf("limiting node %d: it isn't running", i)
	}
	if err := unix.Prlimit(process.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: bytes}, nil); err != nil {
		return fmt.Errorf("limiting node %d: %w", i, err)
	}
	return nil
}
