package kafkax_test

import (
	"context"
	"iter"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// Where nothing is traced, records cost no more memory than without traces.
func TestOffAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	record := kafkax.Record{Topic: "purchases", Value: []byte("v")}
	message := &kafka.Message{Headers: []kafka.Header{{Key: "other", Value: []byte("v")}}}
	var messages iter.Seq[*kafka.Message] = func(func(*kafka.Message) bool) {}
	var off kafkax.Processing
	if allocations := testing.AllocsPerRun(1000, func() {
		kafkax.StartSend(ctx, nil, true, "client", &record).End(nil)
		spans := off.Start(ctx, messages)
		spans.Done(message, "stored", "", nil)
		if spans.Context(ctx) != ctx {
			t.Error("another context")
		}
		spans.End(nil)
		if kafkax.TraceID(message.Headers) != "" {
			t.Error("a trace")
		}
	}); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	if len(record.Headers) > 0 {
		t.Errorf("headers %v", record.Headers)
	}
}
