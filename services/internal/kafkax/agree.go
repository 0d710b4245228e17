package kafkax

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errDisputed means that the brokers don't agree on a topic's id.
var errDisputed = errors.New("the brokers don't agree on the topic's id yet")

// Agreed returns nil if the brokers agree on a topic's id: more than half of them return
// this one, and none returns anything else. It takes AnswerTimeout at most.
//
// A lagging broker, such as one that was suspended, returns the id of a deleted topic,
// and ids have no order. A single broker therefore can't show that a topic was recreated.
func Agreed(ctx context.Context, client *kgo.Client, topic string, id [16]byte) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	answer, err := metadataOf(topic).RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("listing the brokers: %w", err)
	}
	said := make([]error, len(answer.Brokers))
	var asking sync.WaitGroup
	for i, broker := range answer.Brokers {
		asking.Go(func() { said[i] = says(ctx, client.Broker(int(broker.NodeID)), topic, id) })
	}
	asking.Wait()
	agree := 0
	for i, err := range said {
		switch {
		case err == nil:
			agree++
		case errors.Is(err, errDisputed):
			return fmt.Errorf("broker %d: %w", answer.Brokers[i].NodeID, err)
		}
	}
	if 2*agree <= len(said) {
		return fmt.Errorf("only %d of %d brokers say which id the topic has: %w", agree, len(said), errors.Join(said...))
	}
	return nil
}

// says returns nil if a broker returns this id, and errDisputed if it returns anything
// else.
func says(ctx context.Context, broker *kgo.Broker, topic string, id [16]byte) error {
	answer, err := broker.Request(ctx, metadataOf(topic))
	if err != nil {
		return err
	}
	topics := answer.(*kmsg.MetadataResponse).Topics
	switch {
	case len(topics) != 1:
		return fmt.Errorf("%w: it answers for %d topics", errDisputed, len(topics))
	case topics[0].ErrorCode != 0:
		return fmt.Errorf("%w: %w", errDisputed, kerr.ErrorForCode(topics[0].ErrorCode))
	case topics[0].TopicID != id:
		return fmt.Errorf("%w: it says %s, another %s", errDisputed, LogID(topics[0].TopicID), LogID(id))
	}
	return nil
}

// metadataOf is a request for the metadata of a topic. Each sending needs its own, because
// the client sets the version in it.
func metadataOf(topic string) *kmsg.MetadataRequest {
	request := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	return request
}
