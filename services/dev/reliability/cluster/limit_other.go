//go:build !linux

package cluster

import "errors"

// LimitFileSize needs Linux.
func (c *Cluster) LimitFileSize(int, uint64) error {
	return errors.New("a full disk can be made on Linux only")
}
