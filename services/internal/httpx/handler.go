package httpx

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// Handler returns the engine as Server serves it: every route that answers GET
// answers HEAD too, and larger answers are compressed for clients that accept it.
func Handler(engine http.Handler) http.Handler {
	return plain(literalPlus(escapedSlash(headAsGet(compress(engine)))))
}

// compress compresses text of a kilobyte and more with gzip, if it answers a GET: other
// answers are short. Event streams are not among the types. Stateless compression saves a
// few per cent less, but a slow client doesn't keep a window of a megabyte in memory.
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.StatelessCompression), gzhttp.ContentTypes([]string{
		"application/json", "application/problem+json", "application/yaml",
		"text/html", "text/css", "text/javascript", "text/plain", "image/svg+xml",
	}))
	if err != nil { // only for inconsistent options
		return next
	}
	compressed := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		compressed.ServeHTTP(w, r)
	})
}

// headAsGet lets GET's handlers answer HEAD. net/http still knows the method and
// sends no body. The first flush ends the request, because only the body follows,
// which for an event stream never ends.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), isHead{}, true))
		defer cancel()
		get := r.WithContext(ctx)
		get.Method = http.MethodGet
		next.ServeHTTP(&headWriter{w, cancel}, get)
	})
}

type isHead struct{}

// methodOf returns the method that the client used.
func methodOf(r *http.Request) string {
	if r.Context().Value(isHead{}) != nil {
		return http.MethodHead
	}
	return r.Method
}

type headWriter struct {
	http.ResponseWriter
	end func()
}

func (w *headWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.end()
}

func (w *headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handleOtherMethod answers a method that the route doesn't have. The engine has
// already set Allow to the methods that it has.
func handleOtherMethod(c *gin.Context) {
	allowed := strings.Split(c.Writer.Header().Get("Allow"), ", ")
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	c.Header("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if c.Request.Method == http.MethodOptions {
		c.Status(http.StatusNoContent)
		return
	}
	Abort(c, http.StatusMethodNotAllowed, "this route answers "+strings.Join(allowed, ", "))
}
