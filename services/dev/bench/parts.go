package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/database"
)

// runBroker is the embedded broker of `make run`, in memory and in a process of its own.
// For each line that it reads it prints how many fetches there have been so far.
func runBroker(stdin io.Reader, stdout io.Writer) error {
	b, err := broker.Start(broker.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	var fetches atomic.Int64
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake's signature
		fetches.Add(1)
		return nil, nil, false
	})
	fmt.Fprintln(stdout, b.BootstrapServers())
	asked := bufio.NewScanner(stdin)
	for asked.Scan() { // until the parent closes it or dies
		fmt.Fprintln(stdout, fetches.Load())
	}
	return asked.Err()
}

// runDatabase is the embedded database of `make run`, in a process of its own.
func runDatabase(stdin io.Reader, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "shopstream-bench-database-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	db, err := database.Start("127.0.0.1:0", dir, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Fprintln(stdout, db.URI())
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// runNoop answers each buy as web-server does, but without Kafka or any check.
func runNoop(stdin io.Reader, stdout io.Writer) error {
	return serveBuys(stdin, stdout, func(c *gin.Context) {
		if _, err := io.Copy(io.Discard, c.Request.Body); err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		c.JSON(http.StatusAccepted, gin.H{"status": "success", "message": "Purchase recorded"})
	})
}

// runRelay answers a buy once Kafka has acknowledged its body, whatever is in it: the least that a buy can take
// with gin and this client.
func runRelay(arguments []string, stdin io.Reader, stdout io.Writer) error {
	var o peerOptions
	flags := flag.NewFlagSet("relay", flag.ContinueOnError)
	flags.StringVar(&o.servers, "servers", "", "Kafka brokers")
	flags.StringVar(&o.topic, "topic", "", "topic to write")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	p, err := o.producer()
	if err != nil {
		return err
	}
	defer p.Close()
	return serveBuys(stdin, stdout, func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		acknowledged := make(chan kafka.Event, 1)
		if err == nil {
			err = p.Produce(&kafka.Message{
				TopicPartition: kafka.TopicPartition{Topic: &o.topic, Partition: kafka.PartitionAny},
				Key:            body, Value: body, // of one shopper always the same, as the key of a purchase
			}, acknowledged)
		}
		if err != nil {
			c.AbortWithStatus(http.StatusServiceUnavailable)
			return
		}
		if m, ok := (<-acknowledged).(*kafka.Message); !ok || m.TopicPartition.Error != nil {
			c.AbortWithStatus(http.StatusServiceUnavailable)
			return
		}
		c.JSON(http.StatusAccepted, gin.H{"status": "success", "message": "Purchase recorded"})
	})
}

// serveBuys prints its address and serves until stdin ends.
func serveBuys(stdin io.Reader, stdout io.Writer, buy gin.HandlerFunc) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.POST("/api/v1/buy", buy)
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it doesn't wait
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Fprintln(stdout, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = listener.Close()
	}()
	server := &http.Server{Handler: engine}
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// runSink speaks MongoDB's protocol and stores nothing: with it, a writer's own cost is
// measured and not the database's.
func runSink(ctx context.Context, arguments []string, stdin io.Reader, stdout io.Writer) error {
	var s sink
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.BoolVar(&s.full, "full", false, "answer that every document is stored already")
	flags.DurationVar(&s.perRow, "per-row", 0, "time that each document takes, as if on a disk of the connection's own")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Fprintln(stdout, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = listener.Close()
	}()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting a connection: %w", err)
		}
		go func() {
			defer conn.Close()
			_ = s.answerAll(conn) // ends with the connection
		}()
	}
}

// MongoDB's wire protocol:
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	headerSize = 16 // length, request id, id of the request answered, operation code
	opQuery    = 2004
	opReply    = 1
	opMsg      = 2013
	longest    = 48_000_000
)

// sink says how inserts are answered.
type sink struct {
	full   bool
	perRow time.Duration
}

func (s sink) answerAll(conn net.Conn) error {
	for {
		var header [headerSize]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return err
		}
		size := int(binary.LittleEndian.Uint32(header[:]))
		if size < headerSize || size > longest {
			return errors.New("not a message of MongoDB's protocol")
		}
		body := make([]byte, size-headerSize)
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		var reply []byte
		switch binary.LittleEndian.Uint32(header[12:]) {
		case opQuery: // only a driver's first hello
			reply = binary.LittleEndian.AppendUint32(nil, opReply)
			reply = append(reply, make([]byte, 16)...) // flags, cursor id, start
			reply = binary.LittleEndian.AppendUint32(reply, 1)
			reply = append(reply, hello()...)
		case opMsg:
			document, err := s.answerTo(body)
			if err != nil {
				return err
			}
			reply = binary.LittleEndian.AppendUint32(nil, opMsg)
			reply = append(reply, 0, 0, 0, 0, 0) // flags, kind of the section
			reply = append(reply, document...)
		default:
			return errors.New("an unknown operation")
		}
		whole := binary.LittleEndian.AppendUint32(nil, uint32(12+len(reply)))
		whole = append(whole, 0, 0, 0, 0)
		whole = append(whole, header[4:8]...)
		if _, err := conn.Write(append(whole, reply...)); err != nil {
			return err
		}
	}
}

// answerTo answers the command in an OP_MSG: an insert with the number of its documents
// or with an error for each, a search with nothing, all others with success.
func (s sink) answerTo(body []byte) ([]byte, error) {
	var command bson.Raw
	var documents []bson.Raw
	for rest := body[4:]; len(rest) > 4; { // after the flags
		kind := rest[0]
		size := int(binary.LittleEndian.Uint32(rest[1:]))
		if size < 5 || size+1 > len(rest) {
			return nil, errors.New("a section is too long")
		}
		section := rest[1 : 1+size]
		rest = rest[1+size:]
		if kind == 0 {
			command = bson.Raw(section)
			continue
		}
		for rest := section[4+len(cString(section[4:]))+1:]; len(rest) > 0; {
			if len(rest) < 5 || int(binary.LittleEndian.Uint32(rest)) > len(rest) {
				return nil, errors.New("a document is too long")
			}
			document := rest[:binary.LittleEndian.Uint32(rest)]
			documents, rest = append(documents, document), rest[len(document):]
		}
	}
	first, err := command.IndexErr(0)
	if err != nil {
		return nil, fmt.Errorf("reading a command: %w", err)
	}
	switch first.Key() {
	case "hello", "isMaster", "ismaster":
		return hello(), nil
	case "insert":
		time.Sleep(time.Duration(len(documents)) * s.perRow)
		if s.full {
			return duplicates(documents), nil
		}
		return bson.Marshal(bson.D{{Key: "n", Value: int32(len(documents))}, {Key: "ok", Value: 1.0}})
	case "find", "aggregate", "listIndexes":
		return bson.Marshal(bson.D{{Key: "cursor", Value: bson.D{
			{Key: "firstBatch", Value: bson.A{}}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: "sink.sink"},
		}}, {Key: "ok", Value: 1.0}})
	}
	return bson.Marshal(bson.D{{Key: "ok", Value: 1.0}})
}

// duplicates is what MongoDB answers if it has all documents already. It is written element by element, so that
// the sink doesn't take longer for it than who reads it.
func duplicates(documents []bson.Raw) []byte {
	pattern := bsoncore.BuildDocument(nil, bsoncore.AppendInt32Element(nil, "_id", 1))
	failures := bsoncore.NewArrayBuilder()
	for i, d := range documents {
		id, _ := d.Lookup("_id").StringValueOK()
		failures.AppendDocument(bsoncore.NewDocumentBuilder().
			AppendInt32("index", int32(i)).AppendInt32("code", 11000).
			AppendDocument("keyPattern", pattern).
			AppendDocument("keyValue", bsoncore.BuildDocument(nil, bsoncore.AppendStringElement(nil, "_id", id))).
			AppendString("errmsg", `E11000 duplicate key error collection: shopping.purchases index: _id_ dup key: { _id: "`+id+`" }`).
			Build())
	}
	return bsoncore.NewDocumentBuilder().
		AppendInt32("n", 0).AppendArray("writeErrors", failures.Build()).AppendDouble("ok", 1).
		Build()
}

func cString(b []byte) []byte {
	for i := range b {
		if b[i] == 0 {
			return b[:i]
		}
	}
	return b
}

func hello() []byte {
	document, err := bson.Marshal(bson.D{
		{Key: "helloOk", Value: true}, {Key: "ismaster", Value: true}, {Key: "isWritablePrimary", Value: true},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(longest)}, {Key: "maxWriteBatchSize", Value: int32(100_000)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)}, {Key: "ok", Value: 1.0},
	})
	if err != nil {
		return nil // constants
	}
	return document
}
