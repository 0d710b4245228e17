package httpx_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// Any number of connections may be opened. 2,500 are kept: those with a request in
// flight, until all of its answer has been sent, and of the others the newest. New ones are
// served meanwhile.
func TestTheNumberOfConnectionsIsLimited(t *testing.T) {
	release, handled := make(chan struct{}), make(chan struct{})
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/slow", func(c *gin.Context) { <-release; c.String(http.StatusOK, "done") })
		e.POST("/early", func(c *gin.Context) { c.String(http.StatusOK, "early"); close(handled) })
		e.GET("/quick", func(c *gin.Context) { c.String(http.StatusOK, "quick") })
	})
	dial := func(request string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	next := func(conn net.Conn, from *bufio.Reader) (string, error) {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		response, err := http.ReadResponse(from, nil)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	body := func(conn net.Conn) (string, error) { return next(conn, bufio.NewReader(conn)) }
	slow := dial("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	used := dial("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	if text, err := body(used); text != "quick" {
		t.Fatal(text, err)
	}
	two := dial("GET /quick HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	both := bufio.NewReader(two)
	if text, err := next(two, both); text != "quick" {
		t.Fatal(text, err)
	}
	// The server sends no answer before the body has come, which this handler doesn't need.
	early := dial("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
	<-handled
	half := dial("GET /quick HTTP/1.1\r\nHost: x\r\nX-A: ")
	for n := range 2600 {
		conn := dial("")
		if n == 2599 {
			fmt.Fprint(conn, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
			if text, err := body(conn); text != "quick" {
				t.Errorf("the last one gets %q, %v", text, err)
			}
		}
	}
	for what, conn := range map[string]net.Conn{"an idle one": used, "one with half a request": half} {
		if text, err := body(conn); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s is still open: %q, %v", what, text, err)
		}
	}
	fmt.Fprint(early, "{}")
	if text, err := body(early); text != "early" {
		t.Errorf("one whose answer was not sent yet gets %q, %v", text, err)
	}
	close(release)
	if text, err := body(slow); text != "done" {
		t.Errorf("one with a request in flight gets %q, %v", text, err)
	}
	if text, err := next(two, both); text != "done" {
		t.Errorf("one that sent two requests at once gets %q, %v", text, err)
	}
}

// If more connections than that have a request in flight, the next client is still answered:
// a probe that wasn't would end the service because it is busy.
func TestNewConnectionsAreServedIfAllOthersAreBusy(t *testing.T) {
	release := make(chan struct{})
	var busy atomic.Int32
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/slow", func(*gin.Context) { busy.Add(1); <-release })
		e.GET("/quick", func(c *gin.Context) { c.String(http.StatusOK, "quick") })
	})
	defer close(release)
	for n := range int32(2600) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		for deadline := time.Now().Add(time.Minute); busy.Load() <= n; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d requests are being handled", busy.Load(), n+1)
			}
		}
	}
	response, err := http.Get(url + "/quick")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s", response.Status)
	}
}
