package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"syscall"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"shopstream/services/internal/event"
)

// The peers do the least that a task needs, on the same client libraries with the same
// settings as the services: no HTTP, no validation, no metrics, no recovery.

// peerOptions are the flags of a peer.
type peerOptions struct {
	servers string
	topic   string
	count   int
	rate    int // per second
	linger  int // milliseconds
	mongo   string
	limit   int
}

// measured is what a peer prints when it is done, as JSON.
type measured struct {
	Messages int
	Seconds  float64 // from the first message to the last
	CPU      float64 // seconds of this process in the same time
	P50, P99 float64 // milliseconds
}

// stopwatch measures elapsed time and the CPU time of this process.
type stopwatch struct {
	began time.Time
	cpu   float64
}

func startWatch() stopwatch { return stopwatch{time.Now(), ownCPU()} }

func (s stopwatch) read(messages int) measured {
	return measured{Messages: messages, Seconds: time.Since(s.began).Seconds(), CPU: ownCPU() - s.cpu}
}

// ownCPU is the CPU time of this process so far, in seconds.
func ownCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return math.NaN() // makes the row void
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func runPeer(ctx context.Context, part string, arguments []string, stdout io.Writer) error {
	var o peerOptions
	flags := flag.NewFlagSet(part, flag.ContinueOnError)
	flags.StringVar(&o.servers, "servers", "", "Kafka brokers")
	flags.StringVar(&o.topic, "topic", "", "topic to write or read")
	flags.IntVar(&o.count, "count", 1, "number of messages or requests")
	flags.IntVar(&o.rate, "rate", 2000, "messages per second of latency")
	flags.IntVar(&o.linger, "linger", 5, "milliseconds that a batch waits for more records")
	flags.StringVar(&o.mongo, "mongo", "", "database to insert into")
	flags.IntVar(&o.limit, "limit", 100, "messages that last reads")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	peers := map[string]func(context.Context, peerOptions) (measured, error){
		"first": produceOne, "produce": produce, "latency": produceAtRate, "poll": poll, "insert": insert, "last": last,
	}
	m, err := peers[part](ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(m)
}

// settings are those that the services use too (internal/kafkax/settings.go).
func (o peerOptions) settings(more kafka.ConfigMap) *kafka.ConfigMap {
	all := kafka.ConfigMap{
		"bootstrap.servers": o.servers, "socket.nagle.disable": true, "enable.metrics.push": false, "allow.auto.create.topics": false,
	}
	maps.Copy(all, more)
	return &all
}

func (o peerOptions) producer() (*kafka.Producer, error) {
	p, err := kafka.NewProducer(o.settings(kafka.ConfigMap{
		"acks": "all", "enable.idempotence": true, "compression.type": "lz4", "partitioner": "murmur2_random", "max.in.flight": 1,
		"linger.ms": o.linger, "queue.buffering.max.messages": 20_000,
		"go.delivery.report.fields": "none", "go.produce.channel.size": 1, "go.events.channel.size": 10_000,
	}))
	if err != nil {
		return nil, fmt.Errorf("creating a producer: %w", err)
	}
	return p, nil
}

// orders returns different orders, so that they compress as those of the services do.
func orders(n int) ([][]byte, error) {
	products := []string{"USB-C Cable", "Mouse Pad", "Wireless Mouse", "Mechanical Keyboard", "Standing Desk"}
	values := make([][]byte, n)
	for i := range values {
		id, err := event.NewID()
		if err != nil {
			return nil, fmt.Errorf("making an event id: %w", err)
		}
		values[i], err = event.Order{
			ID: time.Now().UnixMilli(), Product: products[i%len(products)], Quantity: int64(1 + i%5), EventID: id, SchemaVersion: event.SchemaVersion,
		}.Encode()
		if err != nil {
			return nil, fmt.Errorf("encoding an order: %w", err)
		}
	}
	return values, nil
}

// different is how many payloads a peer makes before it begins.
const different = 10_000

// connect writes one record, so that a connection and a producer id are there.
func (o peerOptions) connect(ctx context.Context, p *kafka.Producer, value []byte) error {
	acknowledged := make(chan kafka.Event, 1)
	err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &o.topic, Partition: kafka.PartitionAny}, Value: value}, acknowledged)
	if err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	select {
	case e := <-acknowledged:
		if m, ok := e.(*kafka.Message); ok && m.TopicPartition.Error != nil {
			return fmt.Errorf("producing: %w", m.TopicPartition.Error)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connected returns a producer whose first record is acknowledged, and the orders to write.
func (o peerOptions) connected(ctx context.Context) (*kafka.Producer, [][]byte, error) {
	values, err := orders(min(o.count, different))
	if err != nil {
		return nil, nil, err
	}
	p, err := o.producer()
	if err != nil {
		return nil, nil, err
	}
	if err := o.connect(ctx, p, values[0]); err != nil {
		p.Close()
		return nil, nil, err
	}
	return p, values, nil
}

// produceOne writes one order, and is done once it is acknowledged.
func produceOne(ctx context.Context, o peerOptions) (measured, error) {
	watch := startWatch()
	p, _, err := o.connected(ctx)
	if err != nil {
		return measured{}, err
	}
	defer p.Close()
	return watch.read(1), nil
}

// produce writes count orders as fast as they are acknowledged.
func produce(ctx context.Context, o peerOptions) (measured, error) {
	p, values, err := o.connected(ctx)
	if err != nil {
		return measured{}, err
	}
	defer p.Close()
	watch := startWatch()
	failed := make(chan error, 1)
	go func() {
		for i := range o.count {
			// As producer's orders have: those of a millisecond share a partition.
			key := strconv.AppendInt(nil, time.Now().UnixMilli(), 10)
			m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &o.topic, Partition: kafka.PartitionAny}, Key: key, Value: values[i%len(values)]}
			err := p.Produce(m, nil)
			for isFull(err) && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
				err = p.Produce(m, nil)
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	for acknowledged := 0; acknowledged < o.count; {
		select {
		case e := <-p.Events():
			if m, ok := e.(*kafka.Message); ok {
				if m.TopicPartition.Error != nil {
					return measured{}, fmt.Errorf("producing: %w", m.TopicPartition.Error)
				}
				acknowledged++
			}
		case err := <-failed:
			return measured{}, fmt.Errorf("producing: %w", err)
		case <-ctx.Done():
			return measured{}, ctx.Err()
		}
	}
	return watch.read(o.count), nil
}

func isFull(err error) bool {
	var ke kafka.Error
	return errors.As(err, &ke) && ke.Code() == kafka.ErrQueueFull
}

// produceAtRate writes orders at a steady rate. A latency is the time from when an order was
// due to its acknowledgement, so that a stall counts for all that it delays.
func produceAtRate(ctx context.Context, o peerOptions) (measured, error) {
	p, values, err := o.connected(ctx)
	if err != nil {
		return measured{}, err
	}
	defer p.Close()
	send := func(i int, due time.Time) error {
		return p.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &o.topic, Partition: kafka.PartitionAny},
			Key:            fmt.Appendf(nil, "shopper-%d", i%shoppersAtRate), // as the purchases have
			Value:          values[i%len(values)], Opaque: due,
		}, nil)
	}
	took := func() (time.Duration, error) {
		for {
			select {
			case e := <-p.Events():
				if m, ok := e.(*kafka.Message); ok {
					return time.Since(m.Opaque.(time.Time)), m.TopicPartition.Error
				}
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	watch := startWatch()
	failed := make(chan error, 1)
	go func() {
		for i := range o.count {
			due := watch.began.Add(time.Duration(i) * time.Second / time.Duration(o.rate))
			time.Sleep(time.Until(due))
			if err := send(i, due); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	var latencies []float64
	for range o.count {
		d, err := took()
		if err != nil {
			return measured{}, fmt.Errorf("producing: %w", err)
		}
		latencies = append(latencies, d.Seconds()*1000)
	}
	if err := <-failed; err != nil {
		return measured{}, fmt.Errorf("producing: %w", err)
	}
	m := watch.read(o.count)
	m.P50, m.P99 = quantile(latencies, .5), quantile(latencies, .99)
	return m, nil
}

// poll reads count messages from the beginning of a topic and does nothing with them.
func poll(ctx context.Context, o peerOptions) (measured, error) {
	// As kcat sets it: by default librdkafka stops fetching for a second once 100,000 messages wait.
	c, partitions, err := o.consumer(kafka.ConfigMap{"queued.min.messages": 1_000_000})
	if err != nil {
		return measured{}, err
	}
	defer c.Close()
	for i := range partitions {
		partitions[i].Offset = kafka.OffsetBeginning
	}
	if err := c.Assign(partitions); err != nil {
		return measured{}, fmt.Errorf("assigning: %w", err)
	}
	var watch stopwatch
	for read := 0; read < o.count; {
		if ctx.Err() != nil {
			return measured{}, ctx.Err()
		}
		if _, ok := c.Poll(100).(*kafka.Message); ok {
			if read == 0 {
				watch = startWatch()
			}
			read++
		}
	}
	return watch.read(o.count), nil
}

// consumer returns a client that has joined no group, and the partitions of the topic.
func (o peerOptions) consumer(more kafka.ConfigMap) (*kafka.Consumer, []kafka.TopicPartition, error) {
	settings := kafka.ConfigMap{"group.id": "bench", "enable.auto.commit": false, "isolation.level": "read_committed"}
	maps.Copy(settings, more)
	c, err := kafka.NewConsumer(o.settings(settings))
	if err != nil {
		return nil, nil, fmt.Errorf("creating a consumer: %w", err)
	}
	metadata, err := c.GetMetadata(&o.topic, false, 10_000)
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the partitions of %s: %w", o.topic, err)
	}
	var partitions []kafka.TopicPartition
	for _, p := range metadata.Topics[o.topic].Partitions {
		partitions = append(partitions, kafka.TopicPartition{Topic: &o.topic, Partition: p.ID})
	}
	return c, partitions, nil
}

// batch is the size of an insert, as management-api's.
const batch = 1000

// insert stores count documents that were made before it begins.
func insert(ctx context.Context, o peerOptions) (measured, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(o.mongo).SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		return measured{}, fmt.Errorf("connecting to the database: %w", err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	collection := client.Database("bench").Collection(o.topic)
	var documents []bson.Raw
	for i := range o.count {
		document, err := purchase(i)
		if err != nil {
			return measured{}, err
		}
		documents = append(documents, document)
	}
	if err := client.Ping(ctx, nil); err != nil { // connects
		return measured{}, fmt.Errorf("reaching the database: %w", err)
	}
	watch := startWatch()
	for from := 0; from < o.count; from += batch {
		if _, err := collection.InsertMany(ctx, documents[from:min(from+batch, o.count)], options.InsertMany().SetOrdered(false)); err != nil {
			return measured{}, fmt.Errorf("inserting: %w", err)
		}
	}
	return watch.read(o.count), nil
}

// purchase is a document as management-api stores it.
func purchase(i int) (bson.Raw, error) {
	id, err := event.NewID()
	if err != nil {
		return nil, fmt.Errorf("making an event id: %w", err)
	}
	document, err := bson.Marshal(bson.D{
		{Key: "_id", Value: id}, {Key: "userid", Value: fmt.Sprintf("user-%d", i%pageUsers)}, {Key: "username", Value: "Ada"},
		{Key: "price", Value: 19.99}, {Key: "priceMinor", Value: int64(1999)}, {Key: "currency", Value: "USD"},
		{Key: "timestamp", Value: float64(time.Now().UnixMicro()) / 1e6}, {Key: "product", Value: "USB-C Cable"},
		{Key: "partition", Value: int32(i % 6)}, {Key: "offset", Value: int64(i)}, {Key: "log", Value: "pVYxCRjvR7Kk2s0rJmBpNw"},
		{Key: "storedAt", Value: float64(time.Now().UnixMicro()) / 1e6},
	})
	if err != nil {
		return nil, fmt.Errorf("making a document: %w", err)
	}
	return document, nil
}

// last reads the last limit messages of each partition, count times on a warm client:
// what api must read to answer with the last limit of all.
func last(ctx context.Context, o peerOptions) (measured, error) {
	// A fetch that waits for more than there is would delay the next one.
	c, partitions, err := o.consumer(kafka.ConfigMap{"fetch.wait.max.ms": 1})
	if err != nil {
		return measured{}, err
	}
	defer c.Close()
	admin, err := kafka.NewAdminClientFromConsumer(c)
	if err != nil {
		return measured{}, fmt.Errorf("creating an admin client: %w", err)
	}
	defer admin.Close()
	var latencies []float64
	var watch stopwatch
	for i := range o.count + 1 {
		if i == 1 { // the first connects to the brokers
			watch = startWatch()
		}
		asked := time.Now()
		if err := lastOnce(ctx, c, admin, partitions, o.limit); err != nil {
			return measured{}, err
		}
		if i > 0 {
			latencies = append(latencies, time.Since(asked).Seconds()*1000)
		}
	}
	m := watch.read(o.count)
	m.P50, m.P99 = quantile(latencies, .5), quantile(latencies, .99)
	return m, nil
}

func lastOnce(ctx context.Context, c *kafka.Consumer, admin *kafka.AdminClient, partitions []kafka.TopicPartition, limit int) error {
	question := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, p := range partitions {
		question[p] = kafka.LatestOffsetSpec
	}
	ends, err := admin.ListOffsets(ctx, question, kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadCommitted))
	if err != nil {
		return fmt.Errorf("listing offsets: %w", err)
	}
	left := 0
	var windows []kafka.TopicPartition
	for p, info := range ends.ResultInfos {
		from := max(0, int64(info.Offset)-int64(limit))
		left += int(int64(info.Offset) - from)
		windows = append(windows, kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition, Offset: kafka.Offset(from)})
	}
	if err := c.Assign(windows); err != nil {
		return fmt.Errorf("assigning: %w", err)
	}
	for left > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, ok := c.Poll(100).(*kafka.Message); ok {
			left--
		}
	}
	if err := c.Unassign(); err != nil {
		return fmt.Errorf("unassigning: %w", err)
	}
	return nil
}
