package kafkax

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/health"
)

// MetadataClient is any client: producer, consumer or admin.
type MetadataClient interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*kafka.Metadata, error)
}

// Reachable requests a topic's metadata. It fails if no broker answers before ctx ends,
// if the topic does not exist, or if a partition has no leader. If the cause is TLS or
// authentication, the error says so.
func (c Config) Reachable(ctx context.Context, client MetadataClient, topic string) error {
	md, err := client.GetMetadata(&topic, false, int(remaining(ctx).Milliseconds()))
	if err != nil {
		return c.Explained(ctx, fmt.Errorf("no broker answers: %w", err))
	}
	t, ok := md.Topics[topic]
	if ok && t.Error.Code() == kafka.ErrTopicAuthorizationFailed {
		return c.lacks(Need{Topic: topic, Operation: kmsg.ACLOperationDescribe})
	}
	if !ok || t.Error.Code() == kafka.ErrUnknownTopicOrPart || len(t.Partitions) == 0 {
		return fmt.Errorf("topic %q does not exist", topic)
	}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("partition %d of topic %q has no leader", p.ID, topic)
		}
	}
	return nil
}

func remaining(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(time.Until(deadline), time.Millisecond)
	}
	return AnswerTimeout
}

// Explained returns what Explain finds if that has to be fixed by an operator, else
// err, which says that no broker answers.
func (c Config) Explained(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	// The time of ctx was spent waiting for the brokers.
	if why := c.Explain(context.WithoutCancel(ctx)); errors.Is(why, ErrRefused) {
		return fmt.Errorf("no broker accepts this service: %w", why)
	}
	return err
}

// lostAfter is how long a client may stay without an answer although a new one was
// answered. Librdkafka connects again within reconnect.backoff.max.ms.
const lostAfter = 20 * time.Second

// Watch returns a probe that also logs when the brokers start and stop refusing the
// service, and whose error wraps health.ErrLost once only a new client would be answered.
// Librdkafka forgets all brokers, for good, when an answer names none
// (https://github.com/confluentinc/librdkafka/issues/5301): every broker was fenced then.
func (c Config) Watch(log *slog.Logger, probe func(context.Context) error) func(context.Context) error {
	var mu sync.Mutex
	var told string
	var answered time.Time // when a new client was, and this one is still not
	return func(ctx context.Context) error {
		err := probe(ctx)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrRefused) && err.Error() != told:
			told = err.Error()
			log.Error("kafka refuses this service", "error", err)
		case err == nil && told != "":
			told = ""
			log.Info("kafka no longer refuses this service")
		}
		switch {
		case CodeOf(err) != kafka.ErrTransport:
			answered = time.Time{}
		case answered.IsZero():
			if c.answersANewClient(ctx, log) {
				answered = time.Now()
			}
		case time.Since(answered) > lostAfter:
			return fmt.Errorf("%w: a new Kafka client is answered, and this one no longer: %w", health.ErrLost, err)
		}
		return err
	}
}

// answersANewClient makes one only if a broker can be connected to.
func (c Config) answersANewClient(ctx context.Context, log *slog.Logger) bool {
	if c.Explain(context.WithoutCancel(ctx)) != nil {
		return false
	}
	client, err := NewAdmin(c, "trial", log)
	if err != nil {
		return false
	}
	defer client.Close()
	answer, err := client.GetMetadata(nil, false, int(AnswerTimeout.Milliseconds()))
	return err == nil && len(answer.Brokers) > 0
}
