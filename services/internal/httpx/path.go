package httpx

import (
	"bytes"
	"net/http"
	"strconv"
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

// escapedSlash redirects a path that ends in a slash and contains an escaped one, as gin
// redirects others. Gin would unescape it: the user a/b, requested as a%2Fb/, would become
// the resource b of the user a.
func escapedSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, slash := strings.CutSuffix(r.URL.EscapedPath(), "/")
		// With two slashes in front it would be another host's.
		if !slash || !strings.Contains(strings.ToLower(path), "%2f") || strings.HasPrefix(path, "//") {
			next.ServeHTTP(w, r)
			return
		}
		if r.URL.RawQuery != "" {
			path += "?" + r.URL.RawQuery
		}
		code := http.StatusMovedPermanently
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			code = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, path, code)
	})
}

// ServeFile serves a file from memory. Units that it doesn't know and malformed ranges
// are ignored, as RFC 9110 says, and so are several ranges: many small ones make a
// long answer of a short file.
func ServeFile(w http.ResponseWriter, r *http.Request, content []byte) {
	if !isRange(r.Header.Get("Range")) {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// isRange reports whether a header asks for one range of bytes: 2-4, 2- or -4.
func isRange(header string) bool {
	asked, known := strings.CutPrefix(header, "bytes=")
	first, last, ok := strings.Cut(asked, "-")
	if !known || !ok || first+last == "" {
		return false
	}
	from, errFrom := strconv.ParseUint(first, 10, 63)
	to, errTo := strconv.ParseUint(last, 10, 63)
	switch {
	case first == "":
		return errTo == nil
	case last == "":
		return errFrom == nil
	}
	return errFrom == nil && errTo == nil && from <= to
}
