package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/testkit/broker"
)

// runBroker is the embedded broker of `make run`, in memory and in a process of its own.
func runBroker(stdin io.Reader, stdout io.Writer) error {
	b, err := broker.Start(broker.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Fprintln(stdout, b.BootstrapServers())
	_, err = io.Copy(io.Discard, stdin) // until the parent closes it or dies
	return err
}

// runNoop answers each buy as web-server does, but without Kafka or any check.
func runNoop(stdin io.Reader, stdout io.Writer) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.POST("/api/v1/buy", func(c *gin.Context) {
		if _, err := io.Copy(io.Discard, c.Request.Body); err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		c.JSON(http.StatusAccepted, gin.H{"status": "success", "message": "Purchase recorded"})
	})
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
func runSink(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
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
			_ = answerAll(conn) // ends with the connection
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

func answerAll(conn net.Conn) error {
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
			document, err := answerTo(body)
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

// answerTo answers the command in an OP_MSG: an insert with the number of its documents,
// a search with nothing, all others with success.
func answerTo(body []byte) ([]byte, error) {
	var command bson.Raw
	documents := 0
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
		for at := 4 + len(cString(section[4:])) + 1; at+4 <= len(section); documents++ {
			at += int(binary.LittleEndian.Uint32(section[at:]))
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
		return bson.Marshal(bson.D{{Key: "n", Value: int32(documents)}, {Key: "ok", Value: 1.0}})
	case "find", "aggregate", "listIndexes":
		return bson.Marshal(bson.D{{Key: "cursor", Value: bson.D{
			{Key: "firstBatch", Value: bson.A{}}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: "sink.sink"},
		}}, {Key: "ok", Value: 1.0}})
	}
	return bson.Marshal(bson.D{{Key: "ok", Value: 1.0}})
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
