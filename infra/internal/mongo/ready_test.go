package mongo

import (
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"strconv"
	"testing"
)

func TestMemberIsReadyIfItMayServe(t *testing.T) {
	for state, test := range map[string]struct {
		hello []byte
		ready bool
	}{
		"primary":        {document("isWritablePrimary", true, "secondary", false), true},
		"secondary":      {document("isWritablePrimary", false, "secondary", true), true},
		"not initiated":  {document("isWritablePrimary", false, "secondary", false, "isreplicaset", true), true},
		"syncing":        {document("isWritablePrimary", false, "secondary", false), false},
		"nothing of use": {document("isWritablePrimary", false, "secondary", false, "readOnly", true, "notsecondary", true), false},
	} {
		t.Run(state, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), "bash", "-c", readyScript, "ready", member(t, test.hello)).CombinedOutput()
			if ready := err == nil; ready != test.ready {
				t.Errorf("ready is %t: %v: %s", ready, err, output)
			}
		})
	}
}

func TestMemberIsNotReadyIfNothingListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	if output, err := exec.CommandContext(t.Context(), "bash", "-c", readyScript, "ready", port).CombinedOutput(); err == nil {
		t.Errorf("it is ready: %s", output)
	}
}

// member listens on the returned port, and answers one hello with a document.
func member(t *testing.T, hello []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		size := make([]byte, 4)
		if _, err := io.ReadFull(connection, size); err != nil {
			t.Errorf("reading the length of the request: %v", err)
			return
		}
		rest := make([]byte, binary.LittleEndian.Uint32(size)-4)
		if _, err := io.ReadFull(connection, rest); err != nil {
			t.Errorf("reading the request: %v", err)
			return
		}
		// Twelve bytes of header, four of flags and the kind of the section.
		if length := binary.LittleEndian.Uint32(rest[17:]); int(length) != len(rest)-17 {
			t.Errorf("the document says that it has %d bytes and has %d", length, len(rest)-17)
		}
		answer := binary.LittleEndian.AppendUint32(nil, uint32(16+4+1+len(hello)))
		answer = append(answer, 9, 0, 0, 0, 1, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0)
		if _, err := connection.Write(append(answer, hello...)); err != nil {
			t.Errorf("answering: %v", err)
		}
	}()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// document encodes pairs of names and booleans as BSON.
func document(pairs ...any) []byte {
	var fields []byte
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, 8)
		fields = append(fields, pairs[i].(string)...)
		value := byte(0)
		if pairs[i+1].(bool) {
			value = 1
		}
		fields = append(fields, 0, value)
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(4+len(fields)+1)), fields...), 0)
}
