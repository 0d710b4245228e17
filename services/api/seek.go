package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// seek says where reading back starts, and which records count. The zero seek starts
// at the ends of the logs and takes every record.
type seek struct {
	offset    int64          // the newest one wanted in each partition; noRecord for no limit
	timestamp int64          // the newest one wanted, in milliseconds; noRecord for no limit
	pattern   *regexp.Regexp // nil for every record
}

// mostContains limits the length of a search text, in characters.
const mostContains = 200

// parseSeek reads a seek from the query.
func parseSeek(c *gin.Context) (seek, []*httpx.FieldError) {
	offset, offsetFault := httpx.QueryInt(c, "offset", noRecord, 0, math.MaxInt64)
	timestamp, timestampFault := httpx.QueryInt(c, "timestamp", noRecord, 0, math.MaxInt64)
	to := seek{offset: int64(offset), timestamp: int64(timestamp)}
	faults := []*httpx.FieldError{offsetFault, timestampFault}
	if text := c.Query("contains"); utf8.RuneCountInString(text) > mostContains {
		faults = append(faults, &httpx.FieldError{Field: "contains", Detail: fmt.Sprintf("must be at most %d characters", mostContains)})
	} else if text != "" {
		to.pattern = regexp.MustCompile("(?i)" + regexp.QuoteMeta(text))
	}
	return to, faults
}

// bound lowers the positions to where reading back starts.
func (to seek) bound(ctx context.Context, r *reader, sel selection, logs []located, positions []position) error {
	var later map[int32]int64 // the first record that is too new
	if to.timestamp < noRecord {
		var err error
		if later, err = r.lookUp(ctx, sel.topic, logs, func(int32) int64 { return to.timestamp + 1 }); err != nil {
			return err
		}
	}
	for i := range positions {
		p := &positions[i]
		if to.offset < noRecord {
			p.end = min(p.end, to.offset+1)
		}
		if at, ok := later[p.partition]; ok {
			p.end = min(p.end, at)
		}
	}
	return nil
}

// matches reports whether a record contains the searched text.
func (to seek) matches(r *record) bool {
	if to.pattern.Match(r.value) || to.pattern.Match(r.key) {
		return true
	}
	for _, h := range r.headers {
		if to.pattern.MatchString(h.Key) || to.pattern.Match(h.Value) {
			return true
		}
	}
	return false
}

// searched says how far a search has looked.
type searched struct {
	offsets int64 // that no later page reads again
	back    int64 // all records back to this timestamp were searched; noRecord for the beginning
}

// newSearched sums up the search of one page.
func newSearched(tails []*tail, next []position, page []record, limit int) searched {
	s := searched{back: noRecord}
	for i, t := range tails {
		s.offsets += t.end - next[i].end
		if t.reached > t.start && (s.back == noRecord || t.oldest > s.back) {
			s.back = t.oldest
		}
	}
	if len(page) == limit { // older records are left for the next page
		s.back = page[limit-1].timestamp
	}
	return s
}

func (s searched) writeTo(h http.Header) {
	h.Set("X-Searched", strconv.FormatInt(s.offsets, 10))
	if s.back < noRecord {
		h.Set("X-Searched-Back-To", isoTime(s.back))
	}
}

// nextLink returns the Link to the page after the one that query requested.
func nextLink(query url.Values, sel selection, limit int, next string) string {
	query = url.Values{
		"topic": {sel.topic}, "limit": {strconv.Itoa(limit)}, "cursor": {next},
		"isolation": query["isolation"], "partition": query["partition"], "contains": query["contains"],
	}
	return `</messages?` + query.Encode() + `>; rel="next"`
}
