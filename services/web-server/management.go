package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	managementTimeout = 5 * time.Second
	// maxAnswer is far above the largest page that management-api gives.
	maxAnswer = 8 << 20
)

var (
	// errLate is wrapped where the time for an answer ran out. (A dial that
	// timed out is not that: the peer is away.)
	errLate = errors.New("no answer in time")
	// errUnusable is wrapped where an answer arrived that can't be passed on.
	errUnusable = errors.New("unusable answer")
)

// management is the client of management-api. Safe for concurrent use.
type management struct {
	base   string
	client *http.Client
}

// newManagement returns a client with its own pool of connections, kept alive
// between requests and bounded in number.
func newManagement(baseURL string) *management {
	return &management{
		base: strings.TrimRight(baseURL, "/"),
		client: &http.Client{
			Transport: &http.Transport{
				// No proxy from the environment: the peer is in the cluster.
				DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
				TLSHandshakeTimeout: 2 * time.Second,
				MaxConnsPerHost:     128,
				MaxIdleConns:        128,
				MaxIdleConnsPerHost: 128,
				IdleConnTimeout:     30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (m *management) close() { m.client.CloseIdleConnections() }

// answer is a complete answer of any status.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for an escaped path. The answer is read whole before anything is
// passed on, so that one cut off in the middle never reads as a complete list.
func (m *management) get(ctx context.Context, path string, query url.Values) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, managementTimeout)
	defer cancel()
	target := m.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, fmt.Errorf("asking management-api: %w", err)
	}
	response, err := m.client.Do(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{}, fmt.Errorf("asking management-api: %w: %w", errLate, err)
	case err != nil:
		return answer{}, fmt.Errorf("asking management-api: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{}, fmt.Errorf("reading management-api's answer: %w: %w", errLate, err)
	case err != nil:
		return answer{}, fmt.Errorf("%w: reading it: %w", errUnusable, err)
	case len(body) > maxAnswer:
		return answer{}, fmt.Errorf("%w: it is larger than %d bytes", errUnusable, maxAnswer)
	case response.StatusCode == http.StatusOK && !json.Valid(body):
		return answer{}, fmt.Errorf("%w: it is not JSON", errUnusable)
	}
	return answer{response.StatusCode, response.Header, body}, nil
}

// ready is the health probe.
func (m *management) ready(ctx context.Context) error {
	got, err := m.get(ctx, "/-/ready", nil)
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("it answers %d", got.status)
	}
	return nil
}

// escapeSegment escapes text as one segment of a path. Dots too where they are
// all there is: "." and ".." would be taken for directories.
func escapeSegment(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// nextLink matches the target of a Link header's rel="next" (RFC 8288).
var nextLink = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?(?:\s*[;,]|\s*$)`)

// nextQuery returns the query that leads to the next page, or nil.
func nextQuery(h http.Header) url.Values {
	match := nextLink.FindStringSubmatch(strings.Join(h.Values("Link"), ", "))
	if match == nil {
		return nil
	}
	target, err := url.Parse(match[1])
	if err != nil {
		return nil
	}
	return target.Query()
}
