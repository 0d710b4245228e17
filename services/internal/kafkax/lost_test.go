package kafkax_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/health"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// unanswered is the error of a client that knows no broker any more, and so makes no
// connection.
func unanswered(context.Context) error {
	return fmt.Errorf("no broker answers: %w", kafka.NewError(kafka.ErrTransport, "", false))
}

func TestAClientIsLostIfANewOneIsAnsweredInItsPlace(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	cfg := kafkax.Config{BootstrapServers: k.BootstrapServers, SecurityProtocol: "plaintext"}
	recovered := false
	probe := cfg.Watch(slog.New(slog.DiscardHandler), func(ctx context.Context) error {
		if recovered {
			return nil
		}
		return unanswered(ctx)
	})
	// A client may need some seconds to find the brokers again.
	if err := probe(t.Context()); errors.Is(err, health.ErrLost) {
		t.Fatalf("at once: %v", err)
	}
	recovered = true
	if err := probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	recovered = false
	start := time.Now()
	for !errors.Is(probe(t.Context()), health.ErrLost) {
		if time.Since(start) > time.Minute {
			t.Fatal("after a minute the client isn't lost")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(start); took < 10*time.Second {
		t.Errorf("it is lost after %s", took)
	}
}

func TestNoClientIsLostWhileNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	probe := kafkax.Config{BootstrapServers: "127.0.0.1:1", SecurityProtocol: "plaintext"}.Watch(slog.New(slog.DiscardHandler), unanswered)
	for start := time.Now(); time.Since(start) < 25*time.Second; time.Sleep(time.Second) {
		if err := probe(t.Context()); errors.Is(err, health.ErrLost) {
			t.Fatal(err)
		}
	}
}
