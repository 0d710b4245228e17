package kafkax_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

func newProducer(t *testing.T, servers string, cfg kafkax.ProducerConfig) *kafkax.Producer {
	t.Helper()
	p, err := kafkax.NewProducer(kafkax.Config{BootstrapServers: servers, SecurityProtocol: "plaintext"}, cfg, "test", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(context.Background())
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
		<-done
	})
	return p
}

func TestSendReturnsWhereTheRecordStands(t *testing.T) {
	kafka := brokertest.Start(t)
	topic := kafka.Topic(t, "purchases", 3, nil)
	p := newProducer(t, kafka.BootstrapServers, kafkax.ProducerConfig{AckTimeout: 5 * time.Second, MaxPending: 100})

	placed, err := p.Send(t.Context(), kafkax.Record{Topic: topic, Key: []byte("u1"), Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	records := kafka.Read(t, topic)
	if len(records) != 1 || string(records[0].Value) != "v" || records[0].Partition != placed.Partition || records[0].Offset != placed.Offset {
		t.Errorf("placed %+v, read %v", placed, records)
	}
}

func TestSendAnswersWithinTheAckTimeoutWhenKafkaIsAway(t *testing.T) {
	p := newProducer(t, "127.0.0.1:1", kafkax.ProducerConfig{AckTimeout: 300 * time.Millisecond, MaxPending: 100})
	start := time.Now()
	_, err := p.Send(t.Context(), kafkax.Record{Topic: "purchases", Value: []byte("v")})
	if !errors.Is(err, kafkax.ErrUnavailable) {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAFullQueueIsRefusedAtOnce(t *testing.T) {
	p := newProducer(t, "127.0.0.1:1", kafkax.ProducerConfig{AckTimeout: 5 * time.Second, MaxPending: 10})
	var err error
	for range 11 {
		err = p.Enqueue(t.Context(), kafkax.Record{Topic: "purchases", Value: []byte("v")}, func(kafkax.Placed, error) {})
	}
	if !errors.Is(err, kafkax.ErrUnavailable) {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
}

func TestARecordAboveTheLimitIsRefusedForGood(t *testing.T) {
	kafka := brokertest.Start(t)
	topic := kafka.Topic(t, "purchases", 1, map[string]string{"max.message.bytes": "4000000"})
	value := make([]byte, 1_500_000)
	limits := kafkax.ProducerConfig{AckTimeout: 5 * time.Second, MaxPending: 10}

	_, err := newProducer(t, kafka.BootstrapServers, limits).Send(t.Context(), kafkax.Record{Topic: topic, Value: value})
	if err == nil || errors.Is(err, kafkax.ErrUnavailable) {
		t.Errorf("err = %v, want one that is not transient", err)
	}
	limits.MaxRecordBytes = 2_000_000
	if _, err := newProducer(t, kafka.BootstrapServers, limits).Send(t.Context(), kafkax.Record{Topic: topic, Value: value}); err != nil {
		t.Errorf("below a raised limit: %v", err)
	}
}

func TestWaitingForABrokerTakesNoCPUTime(t *testing.T) {
	kafka := brokertest.Start(t)
	if kafka.Embedded == nil {
		t.Skip("only the embedded broker can be delayed")
	}
	topic := kafka.Topic(t, "purchases", 2, nil) // few for a broker: with many they wait for each other
	p := newProducer(t, kafka.BootstrapServers, kafkax.ProducerConfig{AckTimeout: time.Minute, MaxPending: 1000})
	if _, err := p.Send(t.Context(), kafkax.Record{Topic: topic, Value: []byte("connects")}); err != nil {
		t.Fatal(err)
	}
	kafka.Embedded.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		kafka.Embedded.Cluster.SleepControl(func() { time.Sleep(200 * time.Millisecond) })
		return nil, nil, false // and then as usual
	})

	began, before := time.Now(), processorTime(t)
	var acknowledged sync.WaitGroup
	for i := range 300 { // some are on their way at once, the others wait for their answer
		acknowledged.Add(1)
		record := kafkax.Record{Topic: topic, Key: []byte(strconv.Itoa(i)), Value: []byte("v")}
		if err := p.Enqueue(t.Context(), record, func(_ kafkax.Placed, err error) {
			if err != nil {
				t.Error(err)
			}
			acknowledged.Done()
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	acknowledged.Wait()
	if used, took := processorTime(t)-before, time.Since(began); used > took/16 {
		t.Errorf("%s of CPU time in %s, want little", used, took)
	}
}

// processorTime is the CPU time of this process so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
