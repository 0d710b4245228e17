package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/httpx"
)

// authenticate accepts only requests with the token: as a bearer token, or as the
// password of HTTP Basic with any username, so that the browser's own prompt covers
// the viewer, its requests and its event streams.
func authenticate(token envconf.Secret) gin.HandlerFunc {
	want := sha256.Sum256([]byte(token.Reveal()))
	return func(c *gin.Context) {
		shown, given := credential(c.Request)
		// Digests all have the same length, so the time taken reveals nothing.
		got := sha256.Sum256([]byte(shown))
		if given && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			c.Next()
			return
		}
		c.Writer.Header().Add("WWW-Authenticate", `Bearer realm="shopstream api"`)
		c.Writer.Header().Add("WWW-Authenticate", `Basic realm="shopstream api", charset="UTF-8"`)
		httpx.Abort(c, http.StatusUnauthorized, "a token is needed: Authorization: Bearer <token>, or HTTP Basic with the token as the password")
	}
}

// credential returns the token of the Authorization header, and none if there are two
// headers.
func credential(r *http.Request) (string, bool) {
	if len(r.Header.Values("Authorization")) != 1 {
		return "", false
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password, true
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}
