package httpx

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// Problem is an error answer in the form of RFC 9457.
type Problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail,omitempty"`
	Instance string       `json:"instance,omitempty"`
	Errors   []FieldError `json:"errors,omitempty"`
}

// FieldError names one field or parameter of a request and what is wrong with it.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Abort ends the request with a problem. detail is for the caller: it names
// the fault and, where there is one, the fix; it never carries internals.
func Abort(c *gin.Context, status int, detail string, faults ...FieldError) {
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(status, Problem{
		Type:     "about:blank",
		Title:    http.StatusText(status),
		Status:   status,
		Detail:   detail,
		Instance: c.Request.URL.Path,
		Errors:   faults,
	})
}

// AbortRetry is Abort for transient faults: the answer says when to try again.
func AbortRetry(c *gin.Context, status int, after time.Duration, detail string) {
	c.Header("Retry-After", strconv.Itoa(max(1, int(after.Round(time.Second).Seconds()))))
	Abort(c, status, detail)
}

// QueryInt reads a whole number between low and high from the query. It returns
// fallback if the value is absent, and a FieldError to report if it is not such a
// number.
func QueryInt(c *gin.Context, name string, fallback, low, high int) (int, *FieldError) {
	text, given := c.GetQuery(name)
	if !given {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || strconv.Itoa(n) != text { // +5 and 007 are refused
		return 0, &FieldError{Field: name, Detail: fmt.Sprintf("must be a whole number from %d to %d, not %q", low, high, text)}
	}
	return n, nil
}
