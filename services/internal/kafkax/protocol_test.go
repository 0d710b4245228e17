package kafkax_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"shopstream/services/internal/kafkax"
)

// An older broker has members of the classic protocol, and the log says why.
func TestTheGroupProtocolIsOneThatTheBrokersSupport(t *testing.T) {
	for name, c := range map[string]struct {
		brokers         *kversion.Versions
		configured, got string
	}{
		"supported":     {kversion.V4_0_0(), "consumer", "consumer"},
		"not supported": {kversion.V3_9_0(), "consumer", "classic"},
		"not wanted":    {kversion.V4_0_0(), "classic", "classic"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(c.brokers), kfake.SeedTopics(2, "topic"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			var log bytes.Buffer
			servers := strings.Join(cluster.ListenAddrs(), ",")
			member := join(t, servers, c.configured, slog.New(slog.NewTextHandler(&log, nil)))
			group := awaitGroup(t, member)
			if got := strings.ToLower(group.Type.String()); got != c.got {
				t.Errorf("its protocol is %s, want %s", got, c.got)
			}
			if fellBack := c.got != c.configured; strings.Contains(log.String(), "finalize their feature group.version") != fellBack {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}

// With no broker to ask, joining ends with the process.
func TestJoiningEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := kafkax.NewMember(ctx, kafkax.Config{BootstrapServers: "127.0.0.1:1", SecurityProtocol: "plaintext"},
		kafkax.MemberConfig{GroupID: "group", Group: kafkax.GroupConfig{Protocol: "consumer"}}, slog.New(slog.DiscardHandler))
	if err == nil || ctx.Err() == nil {
		t.Errorf("err = %v before the context ended (%v)", err, ctx.Err())
	}
}

func join(t *testing.T, servers, protocol string, log *slog.Logger) *kafka.Consumer {
	t.Helper()
	member, err := kafkax.NewMember(t.Context(), kafkax.Config{BootstrapServers: servers, SecurityProtocol: "plaintext"}, kafkax.MemberConfig{
		ClientID: "test", GroupID: "group", Group: kafkax.GroupConfig{Protocol: protocol}, SessionTimeout: 6 * time.Second,
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = member.Close() })
	if err := member.Subscribe("topic", nil); err != nil {
		t.Fatal(err)
	}
	return member
}

// awaitGroup polls until the member has partitions.
func awaitGroup(t *testing.T, member *kafka.Consumer) kafka.ConsumerGroupDescription {
	t.Helper()
	admin, err := kafka.NewAdminClientFromConsumer(member)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		member.Poll(100)
		if assigned, err := member.Assignment(); err != nil || len(assigned) < 2 {
			continue
		}
		if described, err := admin.DescribeConsumerGroups(ctx, []string{"group"}); err == nil && len(described.ConsumerGroupDescriptions) == 1 {
			return described.ConsumerGroupDescriptions[0]
		}
	}
	t.Fatal("the member gets no partitions")
	return kafka.ConsumerGroupDescription{}
}
