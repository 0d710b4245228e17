package httpx

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// literalPlus keeps a plus sign in a path. Gin unescapes the parameters of an
// escaped path by the rules for queries, where a plus means a space: the user
// "a+b/c", requested as a+b%2Fc, would become "a b/c".
func literalPlus(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawPath, "+") {
			r.URL.RawPath = strings.ReplaceAll(r.URL.RawPath, "+", "%2B")
		}
		next.ServeHTTP(w, r)
	})
}

// plain removes what gin would take for a redirect to another place: a prefix that
// any client can send, and the missing path of http://host, which means the root.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("X-Forwarded-Prefix")
		if r.URL.Path == "" {
			r.URL.Path = "/"
		}
		next.ServeHTTP(w, r)
	})
}

// ServeFile serves a file from memory. Units that it doesn't know and malformed ranges
// are ignored, as RFC 9110 says, and so are several ranges: many small ones make a
// long answer of a short file.
func ServeFile(w http.ResponseWriter, r *http.Request, content []byte) {
	if !regexp.MustCompile(`^bytes=([0-9]+-[0-9]*|-[0-9]+)$`).MatchString(r.Header.Get("Range")) {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
