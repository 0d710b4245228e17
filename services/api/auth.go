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

// authenticate lets only those pass who show the token: as a bearer token, or
// as the password of HTTP Basic with any user name, so that a browser's own
// prompt covers the viewer, what it fetches and its event streams.
func authenticate(token envconf.Secret) gin.HandlerFunc {
	want := sha256.Sum256([]byte(token.Reveal()))
	return func(c *gin.Context) {
		shown, given := credential(c.Request)
		// Digests have one length: the time taken tells nothing of the token.
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

// credential returns what one Authorization header shows; of two, none counts.
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
