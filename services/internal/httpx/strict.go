package httpx

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

// strict refuses requests that net/http and gin would silently repair, and names
// the part at fault. They drop the parts of a query that they can't read, use the
// first of two equal parameters, and pass on invalid UTF-8, which the next encoder
// replaces by U+FFFD.
func strict(c *gin.Context) {
	if c.FullPath() == "" {
		return // no such route or method: the response has to say that
	}
	if detail := bodyEncoding(c.Request); detail != "" {
		c.Header("Accept-Encoding", "identity")
		Abort(c, http.StatusUnsupportedMediaType, detail)
		return
	}
	var faults []FieldError
	for _, p := range c.Params {
		if !utf8.ValidString(p.Value) {
			faults = append(faults, FieldError{p.Key, "must be UTF-8"})
		}
	}
	if raw := c.Request.URL.RawQuery; raw != "" {
		query, err := url.ParseQuery(raw)
		if err != nil {
			faults = append(faults, FieldError{"query", fmt.Sprintf("can't be read: %v", err)})
		}
		for name, values := range query {
			switch {
			case !utf8.ValidString(name):
				faults = append(faults, FieldError{"query", "must be UTF-8"})
			case !utf8.ValidString(strings.Join(values, "")):
				faults = append(faults, FieldError{name, "must be UTF-8"})
			case len(values) > 1:
				faults = append(faults, FieldError{name, "must be given once"})
			}
		}
	}
	if len(faults) > 0 {
		Abort(c, http.StatusBadRequest, faults[0].Field+" "+faults[0].Detail, faults...)
	}
}

// bodyEncoding names the encoding of a body if it is not accepted, else it returns
// "". The body of a GET has no meaning and is never read.
func bodyEncoding(r *http.Request) string {
	if r.ContentLength == 0 || r.Method == http.MethodGet {
		return ""
	}
	for _, codings := range r.Header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(codings, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return fmt.Sprintf("a body in the content encoding %q is not supported: send it as it is", coding)
			}
		}
	}
	for _, kind := range r.Header.Values("Content-Type") {
		if kind == "application/json" {
			continue // as nearly all, so it needn't be taken apart
		}
		// If the type can't be parsed, the body itself decides.
		_, parameters, err := mime.ParseMediaType(kind)
		charset := parameters["charset"]
		if err == nil && !slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, strings.ToLower(charset)) {
			return fmt.Sprintf("a body in the charset %q is not supported: send UTF-8", charset)
		}
	}
	return ""
}
