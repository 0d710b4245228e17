package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logDir is a folder with logs of a broker.
type logDir struct {
	path    string
	offline bool
	// total and usable are the bytes of its volume; -1 if the broker doesn't tell.
	total, usable int64
	topics        map[string]int64 // bytes of the replicas in it
}

// logDirs asks a broker for its folders.
func (c *cluster) logDirs(ctx context.Context, id int32) ([]logDir, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(ctx, c.client.Broker(int(id)))
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("requesting the log directories of broker %d: %w", id, err)
	}
	dirs := make([]logDir, 0, len(response.Dirs))
	for _, d := range response.Dirs {
		dir := logDir{path: d.Dir, offline: d.ErrorCode != 0, total: d.TotalBytes, usable: d.UsableBytes, topics: map[string]int64{}}
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				dir.topics[t.Topic] += p.Size
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}
