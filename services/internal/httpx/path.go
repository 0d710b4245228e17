package httpx

import (
	"net/http"
	"strings"
)

// literalPlus keeps a plus in a path a plus. Gin unescapes the parameters of
// an escaped path by the rules of queries, where a plus is a space: the user
// "a+b/c", asked for as a+b%2Fc, would become "a b/c".
func literalPlus(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawPath, "+") {
			r.URL.RawPath = strings.ReplaceAll(r.URL.RawPath, "+", "%2B")
		}
		next.ServeHTTP(w, r)
	})
}
