package httpx_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// ask sends a request as it is: nothing is added, inflated or followed.
func ask(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

func routes(e *gin.Engine) {
	e.GET("/small", func(c *gin.Context) { c.JSON(http.StatusOK, "small") })
	e.GET("/large", func(c *gin.Context) { c.JSON(http.StatusOK, strings.Repeat("large ", 10000)) })
	e.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	e.POST("/things", func(c *gin.Context) { c.Status(http.StatusAccepted) })
	e.GET("/things", func(c *gin.Context) { c.Status(http.StatusOK) })
	e.POST("/only", func(c *gin.Context) { c.Status(http.StatusAccepted) })
	e.GET("/stream", func(c *gin.Context) { // until the client goes
		c.Header("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			fmt.Fprintf(c.Writer, "data: %d\n\n", n)
			c.Writer.Flush()
			select {
			case <-c.Request.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	for _, path := range []string{"/small", "/large", "/users/a%2Fb", "/health", "/-/healthy", "/-/ready", "/metrics", "/nowhere", "/users/%FF"} {
		for _, coding := range []string{"identity", "gzip"} {
			get, _ := ask(t, http.MethodGet, url+path, "", "Accept-Encoding", coding)
			head, body := ask(t, http.MethodHead, url+path, "", "Accept-Encoding", coding)
			if head.StatusCode != get.StatusCode || body != "" {
				t.Errorf("HEAD %s = %d %q, GET = %d", path, head.StatusCode, body, get.StatusCode)
			}
			for _, name := range []string{"Content-Type", "Content-Encoding", "Vary", "Allow"} {
				if head.Header.Get(name) != get.Header.Get(name) {
					t.Errorf("HEAD %s: %s %q, GET has %q", path, name, head.Header.Get(name), get.Header.Get(name))
				}
			}
			if path == "/small" && head.ContentLength != get.ContentLength {
				t.Errorf("HEAD %s: length %d, GET has %d", path, head.ContentLength, get.ContentLength)
			}
		}
	}
	// An event stream has no end: only its headers are waited for.
	if head, _ := ask(t, http.MethodHead, url+"/stream", ""); head.StatusCode != http.StatusOK || head.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD /stream = %d %v", head.StatusCode, head.Header)
	}
	if _, metrics := ask(t, http.MethodGet, url+"/metrics", ""); !strings.Contains(metrics, `{code="200",method="HEAD",route="/small"} 2`) {
		t.Error("a HEAD is counted as something else")
	}
}

func TestOtherMethodsNameTheRoutesOwn(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	for path, allow := range map[string]string{"/small": "GET, HEAD, OPTIONS", "/things": "GET, POST, HEAD, OPTIONS", "/only": "POST, OPTIONS", "/health": "GET, HEAD, OPTIONS"} {
		for method, status := range map[string]int{http.MethodOptions: 204, http.MethodDelete: 405, http.MethodPatch: 405, http.MethodTrace: 405, "BREW": 405} {
			response, _ := ask(t, method, url+path, "")
			got := strings.Split(response.Header.Get("Allow"), ", ")
			want := strings.Split(allow, ", ")
			slices.Sort(got)
			slices.Sort(want)
			if response.StatusCode != status || !slices.Equal(got, want) {
				t.Errorf("%s %s = %d, Allow %q; want %d, %q", method, path, response.StatusCode, got, status, want)
			}
		}
	}
	if response, _ := ask(t, http.MethodHead, url+"/only", ""); response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("HEAD /only = %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
	}
	if response, _ := ask(t, http.MethodOptions, url+"/nowhere", ""); response.StatusCode != http.StatusNotFound {
		t.Errorf("OPTIONS /nowhere = %d", response.StatusCode)
	}
}

func TestLargeTextIsCompressed(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	_, plain := ask(t, http.MethodGet, url+"/large", "")
	response, body := ask(t, http.MethodGet, url+"/large", "", "Accept-Encoding", "br, gzip;q=0.5")
	if response.Header.Get("Content-Encoding") != "gzip" || response.Header.Get("Vary") != "Accept-Encoding" || len(body) > len(plain)/10 {
		t.Errorf("%v, %d bytes of %d", response.Header, len(body), len(plain))
	}
	inflated, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(inflated); err != nil || string(got) != plain {
		t.Errorf("%d bytes, %v: not what was sent uncompressed", len(got), err)
	}
	for path, coding := range map[string]string{"/small": "gzip", "/large": "gzip;q=0", "/large?": "identity"} {
		response, _ := ask(t, http.MethodGet, url+path, "", "Accept-Encoding", coding)
		if response.Header.Get("Content-Encoding") != "" || response.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s as %s: %v", path, coding, response.Header)
		}
	}
	// An event is to be seen when it happens.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	first := make([]byte, len("data: 0\n\n"))
	if _, err := io.ReadFull(stream.Body, first); err != nil || string(first) != "data: 0\n\n" || stream.Header.Get("Content-Encoding") != "" {
		t.Errorf("stream: %q, %v, %v", first, err, stream.Header)
	}
}

// What net/http and gin would repair or drop is refused with its name.
func TestNothingOfARequestIsRepairedSilently(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	for target, field := range map[string]string{
		"/users/%FF":           "id",
		"/users/a%2F%ED%A0%80": "id", // half a surrogate pair in UTF-8
		"/small?a=1&a=2":       "a",
		"/small?a=%C0%AF":      "a",
		"/small?%FF=1":         "query",
		"/small?a=%zz":         "query",
		"/small?a=1;b=2":       "query",
	} {
		response, body := ask(t, http.MethodGet, url+target, "")
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"errors":[{"field":"`+field+`"`) {
			t.Errorf("%s = %d %s, want %s named", target, response.StatusCode, body, field)
		}
	}
	for _, header := range [][]string{
		{"Content-Encoding", "gzip"}, {"Content-Encoding", "identity, zstd"}, {"Content-Encoding", "identity", "Content-Encoding", "br"},
		{"Content-Type", "application/json; charset=utf-16"}, {"Content-Type", "text/plain;charset=ISO-8859-1"},
	} {
		response, body := ask(t, http.MethodPost, url+"/things", "x", header...)
		if response.StatusCode != http.StatusUnsupportedMediaType || response.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%q = %d %v", header, response.StatusCode, response.Header)
		}
		if value := header[len(header)-1]; !strings.Contains(body, value[strings.LastIndexAny(value, " =")+1:]) {
			t.Errorf("%q is not named: %s", header, body)
		}
	}
	// What isn't there is refused for that alone.
	for target, status := range map[string]int{"/nowhere?a=1&a=2": http.StatusNotFound, "/only?a=%zz": http.StatusMethodNotAllowed} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			if response, body := ask(t, method, url+target, "x", "Content-Encoding", "gzip"); response.StatusCode != status {
				t.Errorf("%s %s = %d %s, want %d", method, target, response.StatusCode, body, status)
			}
		}
	}
	for _, header := range [][]string{{"Content-Encoding", "identity"}, {"Content-Type", `application/json; charset="UTF-8"`}, {"Content-Type", "text/plain;charset=utf8"}, {"Content-Type", "nonsense; ="}, {}} {
		if response, body := ask(t, http.MethodPost, url+"/things", "x", header...); response.StatusCode != http.StatusAccepted {
			t.Errorf("%q = %d %s", header, response.StatusCode, body)
		}
	}
	for _, ignored := range []string{"", "a GET's body"} {
		if response, body := ask(t, http.MethodGet, url+"/small?a=1&b=%C3%A9", ignored, "Content-Encoding", "gzip"); response.StatusCode != http.StatusOK {
			t.Errorf("GET with the body %q = %d %s", ignored, response.StatusCode, body)
		}
	}
	// Headers without end are not read.
	if response, _ := ask(t, http.MethodGet, url+"/small", "", "X-Long", strings.Repeat("x", 100<<10)); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("100 KiB of headers = %d", response.StatusCode)
	}
}

func TestRedirectsStayHere(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	response, _ := ask(t, http.MethodGet, base+"/small/", "", "X-Forwarded-Prefix", "https://evil.example")
	if at := response.Header.Get("Location"); response.StatusCode != http.StatusMovedPermanently || at != "/small" {
		t.Errorf("%d to %q", response.StatusCode, at)
	}
}

func TestRedirectsKeepWhatIsEscaped(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	for path, want := range map[string]string{
		"/users/a%2Fb/?limit=1":      "/users/a%2Fb?limit=1",
		"/users/a%2fb+c/":            "/users/a%2fb%2Bc",
		"/users/a%20b/":              "/users/a%20b",
		`/users/a%2F%0D%0AX-Evil:1/`: "/users/a%2F%0D%0AX-Evil:1",
	} {
		response, _ := ask(t, http.MethodGet, base+path, "")
		if at := response.Header.Get("Location"); response.StatusCode != http.StatusMovedPermanently || at != want {
			t.Errorf("%s: %d to %q, want %q", path, response.StatusCode, at, want)
		}
	}
	for _, other := range []string{"//evil.example%2Fa/", `/\evil.example%2Fa/`} {
		if response, _ := ask(t, http.MethodGet, base+other, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d to %q", other, response.StatusCode, response.Header.Get("Location"))
		}
	}
	if _, id := ask(t, http.MethodGet, base+"/users/a%2Fb%2F", ""); id != "a/b/" {
		t.Errorf("the user a/b/ is answered as %q", id)
	}
	response, _ := ask(t, http.MethodPost, base+"/users/a%2Fb/", "")
	if response.StatusCode != http.StatusTemporaryRedirect { // with the same method
		t.Errorf("POST: %d", response.StatusCode)
	}
}

// A proxy may send the address of the target without a path.
func TestNoPathIsTheRoot(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) { e.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "root") }) })
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET http://elsewhere.example HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.HasSuffix(string(answer), "root") {
		t.Errorf("%s, %v", answer, err)
	}
}

func TestAnAnswerThatCantBeEncodedIsAnError(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/", func(c *gin.Context) { c.JSON(http.StatusOK, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)) })
	})
	response, body := ask(t, http.MethodGet, base+"/", "")
	if response.StatusCode != http.StatusInternalServerError || !strings.Contains(body, `"title":"Internal Server Error"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestEveryContentTypeCounts(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, routes)
	response, body := ask(t, http.MethodPost, base+"/things", "{}", "Content-Type", "application/json", "Content-Type", "application/json; charset=utf-16")
	if response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestRangesOfAFile(t *testing.T) {
	base, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/", func(c *gin.Context) { httpx.ServeFile(c.Writer, c.Request, []byte("0123456789")) })
	})
	for asked, want := range map[string]string{
		"": "0123456789", "bytes=2-4": "234", "bytes=-1": "9", "bytes=8-": "89",
		"lines=1-2": "0123456789", "bytes=a": "0123456789", "bytes=0-0,2-2": "0123456789", "bytes=-": "0123456789",
		"bytes=4-2": "0123456789", "bytes=2-99": "23456789", "bytes=+2-4": "0123456789",
	} {
		response, body := ask(t, http.MethodGet, base+"/", "", "Range", asked)
		if partial := response.StatusCode == http.StatusPartialContent; body != want || partial != (len(want) < 10) {
			t.Errorf("%q: %d %q, want %q", asked, response.StatusCode, body, want)
		}
	}
}
