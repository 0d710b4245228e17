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

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/trace"
)

const (
	managementTimeout = 5 * time.Second
	// maxAnswer, in bytes, is far more than the largest page of management-api.
	maxAnswer = 8 << 20
)

var (
	// errLate is wrapped if no answer came in time. (It is not wrapped if the dial
	// timed out: then the peer is unreachable.)
	errLate = errors.New("no answer in time")
	// errUnusable is wrapped if an answer arrived that can't be forwarded.
	errUnusable = errors.New("invalid answer")
)

// management is the client of management-api. Safe for concurrent use.
type management struct {
	base   string
	client *http.Client
	tracer *trace.Tracer
}

// newManagement returns a client with its own bounded pool of kept-alive
// connections.
func newManagement(baseURL string, tracer *trace.Tracer) *management {
	return &management{
		base:   strings.TrimRight(baseURL, "/"),
		tracer: tracer,
		client: &http.Client{
			Transport: &http.Transport{
				// The peer is in the cluster, so no proxy from the environment is used.
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

// answer is a complete answer with any status.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get requests an escaped path. It reads the whole answer first, so that one that is
// cut off is never forwarded as a complete list.
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
	response, err := httpx.Do(m.tracer, m.client, request)
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
		return answer{}, fmt.Errorf("%w: reading it failed: %w", errUnusable, err)
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
		return fmt.Errorf("the answer has status %d", got.status)
	}
	return nil
}

// escapeSegment escapes text as one segment of a path. It also escapes "." and "..",
// which would be resolved as directories.
func escapeSegment(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// nextLink matches the target of a Link header's rel="next" (RFC 8288).
var nextLink = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?(?:\s*[;,]|\s*$)`)

// nextQuery returns the query of the next page, or nil.
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
