package kafkax_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// A coordinator that is slow says nothing about a service's rights: the service is ready once
// it has answered, and stays so.
func TestACoordinatorMayTakeLongerThanAHealthCheck(t *testing.T) {
	t.Parallel()
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"), kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	config := kafkax.Config{
		BootstrapServers: strings.Join(brokers.ListenAddrs(), ","), SecurityProtocol: "sasl_plaintext",
		SASLMechanism: "PLAIN", SASLUsername: "shop", SASLPassword: "right",
	}
	client, err := kafkax.NewAdmin(config, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	silent, answer := make(chan struct{}), make(chan struct{}, 1)
	brokers.ControlKey(int16(kmsg.DescribeGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
		brokers.KeepControl()
		brokers.SleepControl(func() {
			select {
			case <-answer:
			case <-silent:
			}
		})
		return nil, nil, false
	})
	t.Cleanup(func() { close(silent) })
	probe := config.Probe(client, kafkax.Reads("orders"), kafkax.Joins("shoppers"))
	check := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return probe(ctx)
	}
	if err := check(time.Second); err == nil || !strings.Contains(err.Error(), "not known yet") {
		t.Errorf("before it has answered: %v", err)
	}
	answer <- struct{}{} // a question that was asked before
	eventually(t, func() bool { return check(100*time.Millisecond) == nil })
	if err := check(time.Second); err != nil {
		t.Errorf("while it is slow again: %v", err)
	}
}
