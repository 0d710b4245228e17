package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// storeOffsets passes the offsets to the client, which commits them five times a second, on
// a rebalance and on leaving the group.
func (c *consumer) storeOffsets(offsets []kafka.TopicPartition) error {
	for _, p := range offsets {
		c.reader.Done(p.Partition, int64(p.Offset))
		c.unstored[p.Partition] = p
	}
	if len(c.unstored) == 0 {
		return nil // every partition of the batch was revoked
	}
	var first []kafka.TopicPartition
	results, err := c.client.StoreOffsets(slices.Collect(maps.Values(c.unstored)))
	for _, p := range results {
		switch code := kafkax.CodeOf(p.Error); {
		case p.Error == nil && c.behind[p.Partition]:
			first = append(first, c.unstored[p.Partition])
		case p.Error == nil:
			c.latest[p.Partition] = c.unstored[p.Partition]
			delete(c.unstored, p.Partition)
		case code == kafka.ErrState || code == kafka.ErrUnknownPartition:
			// The client is still being assigned the partition, or has lost it. In
			// that case the next owner reads the purchases again and finds them
			// stored.
			err = nil
		default:
			return fmt.Errorf("storing offset %s of partition %d: %w", p.Offset, p.Partition, p.Error)
		}
	}
	if err != nil {
		return fmt.Errorf("storing offsets: %w", err)
	}
	if len(first) == 0 || time.Now().Before(c.askAt) {
		return nil
	}
	if err := kafkax.Commit(c.client, first); err != nil {
		c.askAgain(err)
		return nil
	}
	for _, p := range first {
		c.latest[p.Partition] = p
		delete(c.behind, p.Partition)
		delete(c.unstored, p.Partition)
	}
	return nil
}

// commitAgain commits the latest offsets again every recommitAfter, and those behind
// what needs no storing.
func (c *consumer) commitAgain() error {
	if now := time.Now(); now.Before(c.recommit) || now.Before(c.askAt) {
		return nil
	}
	c.recommit = time.Now().Add(recommitAfter)
	if err := c.storeOffsets(c.passed()); err != nil {
		return err
	}
	if len(c.latest) == 0 {
		return nil
	}
	if err := kafkax.Commit(c.client, slices.Collect(maps.Values(c.latest))); err != nil {
		c.log.Warn("committing offsets again", "error", err, "retry_in", recommitAfter)
	}
	return nil
}

// passed returns positions of the reader that are not committed although everything
// before them is finished: behind markers of transactions, and at the beginning of a log
// whose records were all deleted before the group had an offset. For a partition
// without an offset KEDA takes all records that there ever were for lag
// (kedacore/keda#7936).
func (c *consumer) passed() (positions []kafka.TopicPartition) {
	if c.current != nil || !c.filling.empty() || len(c.unstored) > 0 {
		return nil
	}
	for number, at := range c.reader.Positions() {
		ahead := c.unset[number] && at.Offset >= 0
		if latest, ok := c.latest[number]; ok {
			ahead = at.Log == kafkax.LabelField(latest.Metadata, "log") && at.Offset > int64(latest.Offset)
		}
		if label := at.Label(); ahead && label != "" {
			positions = append(positions, kafka.TopicPartition{Topic: &c.topic, Partition: number, Offset: kafka.Offset(at.Offset), Metadata: &label})
		}
	}
	return positions
}

// askAgain delays the next question to the group's coordinator after a failure.
func (c *consumer) askAgain(err error) {
	c.askAt = time.Now().Add(askRetry)
	c.log.Warn("asking the group's coordinator", "error", err, "retry_in", askRetry)
}

// locate starts reading newly assigned partitions at their committed offsets.
func (c *consumer) locate() {
	if len(c.unlocated) == 0 || time.Now().Before(c.askAt) {
		return
	}
	var asked []kafka.TopicPartition
	for partition := range c.unlocated {
		asked = append(asked, kafka.TopicPartition{Topic: &c.topic, Partition: partition})
	}
	committed, err := c.client.Committed(asked, int(kafkax.AnswerTimeout.Milliseconds()))
	positions := map[int32]kafkax.Position{}
	for _, p := range committed {
		switch {
		case err != nil:
		case p.Error != nil:
			err = p.Error
		case p.Offset < 0:
			positions[p.Partition], c.unset[p.Partition] = kafkax.Beginning(), true
		default:
			positions[p.Partition] = kafkax.PositionOf(int64(p.Offset), p.Metadata)
			if kafkax.LabelField(p.Metadata, "log") != "" { // else it may be of a log that is gone
				c.latest[p.Partition] = p
			}
		}
	}
	for partition := range positions {
		delete(c.unlocated, partition)
	}
	c.reader.Assign(positions)
	if err != nil {
		c.askAgain(fmt.Errorf("reading the committed offsets: %w", err))
	}
}
