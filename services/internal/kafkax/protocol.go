package kafkax

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/retry"
)

// The protocols by which the members of a group share its partitions.
const (
	// ProtocolClassic lets the members assign: each change waits for all of them.
	ProtocolClassic = "classic"
	// ProtocolConsumer lets the brokers assign (KIP-848): no member waits for another,
	// except for the partitions that it gets from it.
	ProtocolConsumer = "consumer"
)

// GroupConfig is how to be a member of a group.
type GroupConfig struct {
	Protocol string `env:"KAFKA_GROUP_PROTOCOL" envDefault:"consumer" doc:"Protocol of the consumer group: consumer (KIP-848), or classic, which is used too where the brokers don't support the other."`
}

// Validate implements envconf.Validator.
func (c GroupConfig) Validate() error {
	if c.Protocol != ProtocolClassic && c.Protocol != ProtocolConsumer {
		return fmt.Errorf("KAFKA_GROUP_PROTOCOL must be consumer or classic, not %q", c.Protocol)
	}
	return nil
}

// protocolRetries spaces questions to brokers that can't be reached.
var protocolRetries = retry.Backoff{First: 100 * time.Millisecond, Last: 2 * time.Second}

// choose returns the configured protocol, or the classic one if the brokers don't support
// the other. It asks until a broker answers or ctx ends: a client learns it only by a
// fatal error otherwise.
func (c GroupConfig) choose(ctx context.Context, cfg Config, clientID string, log *slog.Logger) (string, error) {
	if c.Protocol == ProtocolClassic {
		return ProtocolClassic, nil
	}
	client, err := cfg.Direct(clientID)
	if err != nil {
		return "", err
	}
	defer client.Close()
	for attempt := 1; ; attempt++ {
		request := kmsg.NewPtrApiVersionsRequest()
		request.ClientSoftwareName, request.ClientSoftwareVersion = "shopstream", "1"
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		answer, err := request.RequestWith(asking, client)
		cancel()
		if err == nil {
			return c.supported(answer, log), nil
		}
		wait := protocolRetries.After(attempt)
		log.Debug("the brokers don't say yet which group protocols they support", "error", err, "retry_in", wait)
		if !retry.Sleep(ctx, wait) {
			return "", ctx.Err()
		}
	}
}

// supported looks for the feature, which is the cluster's: during an upgrade a new broker
// may know the protocol before it can be used.
func (c GroupConfig) supported(answer *kmsg.ApiVersionsResponse, log *slog.Logger) string {
	for _, f := range answer.FinalizedFeatures {
		if f.Name == "group.version" && f.MaxVersionLevel >= 1 {
			return ProtocolConsumer
		}
	}
	log.Warn("the brokers don't support the group protocol consumer: joining by the classic one; finalize their feature group.version at 1 (Kafka 4.0), or set KAFKA_GROUP_PROTOCOL to classic")
	return ProtocolClassic
}
