package kafkax_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// A member that is removed from its group while it takes its partitions gets them again.
func TestAnAssignmentThatIsLostMeanwhileIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{kafkax.ProtocolConsumer, kafkax.ProtocolClassic} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := brokertest.Start(t)
			if k.Embedded == nil {
				t.Skip("counts the embedded broker's heartbeats")
			}
			var heartbeats atomic.Int32
			k.Embedded.Cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
				k.Embedded.Cluster.KeepControl()
				switch h := r.(type) {
				case *kmsg.HeartbeatRequest:
					heartbeats.Add(1)
				case *kmsg.ConsumerGroupHeartbeatRequest:
					if h.MemberEpoch > 0 {
						heartbeats.Add(1)
					}
				}
				return nil, nil, false
			})
			topic, group := k.Topic(t, "held", 2, nil), brokertest.Unique("holders")
			member := newMember(t, k, group, protocol)
			t.Cleanup(func() { _ = member.Close() })
			var assigned, lost atomic.Int32
			err := member.Subscribe(topic, func(_ *kafka.Consumer, e kafka.Event) error {
				switch e := e.(type) {
				case kafka.AssignedPartitions:
					if assigned.Add(1) == 1 {
						if _, err := k.Expel(t.Context(), group); err != nil {
							t.Error(err)
						}
						heartbeats.Store(0)
						eventually(t, func() bool { return heartbeats.Load() > 0 }) // the answer says that it is no member
					}
					if err := kafkax.Hold(member, e.Partitions); err != nil {
						t.Errorf("assignment %d: %v", assigned.Load(), err)
					}
				case kafka.RevokedPartitions:
					lost.Add(1)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool {
				if e, ok := member.Poll(100).(kafka.Error); ok && e.IsFatal() {
					t.Fatal(e)
				}
				held, err := member.Assignment()
				return err == nil && len(held) == 2 && assigned.Load() >= 2
			})
			if lost.Load() == 0 {
				t.Error("the first assignment was not revoked")
			}
		})
	}
}

// A member that stops before it has taken the partitions that it was given leaves at once.
func TestLeavingWithAnAssignmentThatWasNotTaken(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{kafkax.ProtocolConsumer, kafkax.ProtocolClassic} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := brokertest.Start(t)
			topic := k.Topic(t, "given", 2, nil)
			for range 20 { // not every attempt met the fault
				group := brokertest.Unique("leavers")
				member := newMember(t, k, group, protocol)
				given := func(n int) func() bool {
					return func() bool {
						members, _, err := k.Members(t.Context(), group)
						held := 0
						for _, m := range members {
							held += m.Partitions
						}
						return err == nil && held == n
					}
				}
				err := member.Subscribe(topic, func(_ *kafka.Consumer, e kafka.Event) error {
					if e, ok := e.(kafka.AssignedPartitions); ok {
						return kafkax.Hold(member, e.Partitions)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, given(2))
				kafkax.Leave(member, time.Minute, slog.New(slog.DiscardHandler))
				if !member.IsClosed() {
					t.Fatal("it doesn't leave")
				}
				eventually(t, given(0))
			}
		})
	}
}

func newMember(t testing.TB, k *brokertest.Kafka, group, protocol string) *kafka.Consumer {
	t.Helper()
	member, err := kafkax.NewMember(t.Context(), kafkax.Config{BootstrapServers: k.BootstrapServers, SecurityProtocol: "plaintext"}, kafkax.MemberConfig{
		ClientID: "test", GroupID: group, Group: kafkax.GroupConfig{Protocol: protocol}, SessionTimeout: 6 * time.Second,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return member
}

func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't happen")
		}
	}
}
