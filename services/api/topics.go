package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/gin-gonic/gin"
)

// topic is one topic as GET /topics shows it.
type topic struct {
	Name       string           `json:"name"`
	Internal   bool             `json:"internal"`
	Messages   int64            `json:"messages"`
	Partitions []topicPartition `json:"partitions"`
}

// topicPartition is one partition. Messages is a number of offsets, some of which
// transactions and compaction leave without a message.
type topicPartition struct {
	Partition int32 `json:"partition"`
	Leader    int32 `json:"leader"` // -1 if none
	Low       int64 `json:"low"`
	High      int64 `json:"high"`
	Messages  int64 `json:"messages"`
}

// topics answers GET /topics.
func (s *server) topics(c *gin.Context) {
	s.list(c, func(ctx context.Context) (any, error) { return s.listTopics(ctx) })
}

// list answers with one listing.
func (s *server) list(c *gin.Context, list func(context.Context) (any, error)) {
	var body bytes.Buffer
	err := s.listing(c.Request.Context(), func(ctx context.Context) error {
		result, err := list(ctx)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false) // leaves < and > readable
		return encoder.Encode(result)
	})
	if err != nil {
		s.fail(c, err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.cfg.ReadTimeout)
	defer cancel()
	release, err := s.room(ctx, int64(body.Len()))
	if err != nil {
		s.fail(c, err)
		return
	}
	defer release()
	c.Header("Cache-Control", "no-store")
	respond(c, body.Bytes())
}

// listing runs one listing within the limits on their number and time.
func (s *server) listing(ctx context.Context, list func(context.Context) error) error {
	if err := s.kafkaUp(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	select {
	case s.listings <- struct{}{}:
		defer func() { <-s.listings }()
	case <-ctx.Done():
		return saturated(ctx)
	}
	return list(ctx)
}

func (s *server) listTopics(ctx context.Context) ([]topic, error) {
	metadata, err := s.cluster.topics(ctx)
	if err != nil {
		return nil, err
	}
	topics := []topic{}
	var places []place
	for _, t := range metadata {
		if isInternal(*t.Topic) && !s.cfg.AllowInternal {
			continue
		}
		listed := topic{Name: *t.Topic, Internal: isInternal(*t.Topic), Partitions: []topicPartition{}}
		for _, p := range t.Partitions {
			listed.Partitions = append(listed.Partitions, topicPartition{Partition: p.Partition, Leader: p.Leader})
			if p.Leader >= 0 {
				places = append(places, place{*t.Topic, p.Partition})
			}
		}
		topics = append(topics, listed)
	}
	extents, err := s.cluster.extents(ctx, places)
	if err != nil {
		return nil, err
	}
	for i := range topics {
		t := &topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			e := extents[place{t.Name, p.Partition}]
			p.Low, p.High, p.Messages = e.low, e.end, e.end-e.low
			t.Messages += p.Messages
		}
		slices.SortFunc(t.Partitions, func(a, b topicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	slices.SortFunc(topics, func(a, b topic) int { return cmp.Compare(a.Name, b.Name) })
	return topics, nil
}
