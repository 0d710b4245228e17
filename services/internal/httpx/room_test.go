package httpx_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

func TestRequestsBeyondTheRoomWaitOrAreRefused(t *testing.T) {
	room := httpx.NewRoom(10)
	inside, leave := make(chan struct{}), make(chan struct{})
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/stay", func(c *gin.Context) {
			free, ok := room.Enter(c.Request.Context(), c, 11) // more than there is: all of it
			if !ok {
				return
			}
			defer free()
			inside <- struct{}{}
			<-leave
		})
		e.GET("/pass", func(c *gin.Context) {
			ctx, cancel := context.WithTimeout(c.Request.Context(), 50*time.Millisecond)
			defer cancel()
			free, ok := room.Enter(ctx, c, 1)
			if !ok {
				return
			}
			defer free()
			c.String(http.StatusOK, "passed")
		})
	})
	go func() {
		if response, err := http.Get(url + "/stay"); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-inside
	response, err := http.Get(url + "/pass")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "1" {
		t.Errorf("without room: %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	close(leave)
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, body := get(t, url+"/pass")
		if status == http.StatusOK && body == "passed" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with room: %d %s", status, body)
		}
	}
}
