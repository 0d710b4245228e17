package database

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// front forwards clients' requests to FerretDB, except those for pages of an index and for
// documents by their _id. FerretDB v1 on SQLite uses no index: for a user's page, or for
// several _ids, it decodes every document of the collection. For one _id it has SQLite look
// at every one.
type front struct {
	listener net.Listener
	backend  string // FerretDB's socket
	pages    *pages

	mu     sync.Mutex // guards conns and closed
	conns  map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

func serve(listener net.Listener, backend string, pages *pages) *front {
	f := &front{listener: listener, backend: backend, pages: pages, conns: map[net.Conn]bool{}}
	f.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.connect(client) })
		}
	})
	return f
}

// close closes every connection and waits for requests in flight.
func (f *front) close() {
	f.mu.Lock()
	f.closed = true
	_ = f.listener.Close()
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
	f.pages.close()
}

// track keeps conn for close; it returns false if the front is already closed.
func (f *front) track(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.conns[conn] = true
	}
	return !f.closed
}

func (f *front) drop(conn net.Conn) {
	f.mu.Lock()
	delete(f.conns, conn)
	f.mu.Unlock()
	_ = conn.Close()
}

func (f *front) connect(client net.Conn) {
	defer f.drop(client)
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", f.backend)
	if err != nil {
		return
	}
	defer f.drop(server)
	if !f.track(client) || !f.track(server) {
		return
	}
	f.wg.Go(func() {
		defer f.drop(client)
		_, _ = io.Copy(client, server)
	})
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		// A client waits for each response before its next request on the same connection,
		// so this response can't interleave with another.
		if reply := f.pages.answer(message); reply != nil {
			_, err = client.Write(reply)
		} else {
			_, err = server.Write(message)
		}
		if err != nil {
			return
		}
	}
}

// MongoDB's wire protocol:
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	headerSize     = 16 // length, request id, id of the request answered, operation code
	sectionsAt     = headerSize + 4
	maxMessageSize = 48_000_000
	opMsg          = 2013
)

func readMessage(r io.Reader) ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size < headerSize || size > maxMessageSize {
		return nil, errors.New("not a message of MongoDB's protocol")
	}
	message := make([]byte, size)
	copy(message, header[:])
	_, err := io.ReadFull(r, message[headerSize:])
	return message, err
}

// answer returns the reply to a request for a page of an index or for documents by their
// _id, or nil if FerretDB has to answer.
func (p *pages) answer(message []byte) []byte {
	const bodyAt = sectionsAt + 1 // a byte with the kind of the section
	if len(message) < bodyAt ||
		binary.LittleEndian.Uint32(message[12:]) != opMsg ||
		binary.LittleEndian.Uint32(message[headerSize:]) != 0 || // flags
		message[sectionsAt] != 0 {
		return nil
	}
	documents, namespace, err := p.documents(context.Background(), message[bodyAt:])
	if err != nil || documents == nil {
		return nil // FerretDB answers it, perhaps more slowly
	}
	body, err := bson.Marshal(bson.D{
		{Key: "cursor", Value: bson.D{
			{Key: "firstBatch", Value: documents},
			{Key: "id", Value: int64(0)},
			{Key: "ns", Value: namespace},
		}},
		{Key: "ok", Value: 1.0},
	})
	if err != nil {
		return nil
	}
	reply := binary.LittleEndian.AppendUint32(nil, uint32(bodyAt+len(body)))
	reply = append(reply, 0, 0, 0, 0)
	reply = append(reply, message[4:8]...)
	reply = binary.LittleEndian.AppendUint32(reply, opMsg)
	reply = append(reply, 0, 0, 0, 0, 0)
	return append(reply, body...)
}

// documents returns what a command asks for, and the name of the collection with that of
// its database; nil if the command is of another kind.
func (p *pages) documents(ctx context.Context, command bson.Raw) (found []bson.D, namespace string, err error) {
	if l, ok := parseLookup(command); ok {
		found, err = p.lookUp(ctx, l)
		return found, l.database + "." + l.collection, err
	}
	if ask, ok := parsePage(command); ok {
		found, err = p.find(ctx, ask)
		return found, ask.database + "." + ask.collection, err
	}
	return nil, "", nil
}
