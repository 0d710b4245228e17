//go:build !linux

package cluster

import "errors"

// LimitFileSize works on Linux only.
func (c *Cluster) LimitFileSize(int, uint64) error {
	return errors.New("a full disk can be simulated on Linux only")
}
