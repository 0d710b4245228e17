package httpx

import (
	"net/http"
	"strings"
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
