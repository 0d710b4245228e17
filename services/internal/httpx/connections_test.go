package httpx_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// Any number of connections may be opened. 2,500 are kept: those with a request in
// flight, and of the others the newest. New ones are served meanwhile.
func TestTheNumberOfConnectionsIsLimited(t *testing.T) {
	release := make(chan struct{})
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/slow", func(c *gin.Context) { <-release; c.String(http.StatusOK, "done") })
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
	body := func(conn net.Conn) (string, error) {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	slow := dial("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	used := dial("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	if text, err := body(used); text != "quick" {
		t.Fatal(text, err)
	}
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
	close(release)
	if text, err := body(slow); text != "done" {
		t.Errorf("one with a request in flight gets %q, %v", text, err)
	}
}
