// Package endpoint calls the platform's HTTP interfaces: for the smoke test, the load test and the status.
package endpoint

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Endpoint is where an HTTP interface is reached.
type Endpoint struct {
	URL     string
	Address string // host:port to connect to instead of the URL's; may be empty
	Token   string // bearer token for api; empty if it requires none
}

// Client calls an Endpoint.
type Client struct {
	Endpoint

	http *http.Client
}

// New returns a client with a time limit for each request, and for the number of connections; 0 is no limit. It uses no
// proxy, since it calls this machine or the cluster, and accepts any certificate, since it tests what is behind it.
func New(e Endpoint, timeout time.Duration, connections int) Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 30 * time.Second,
	}
	if e.Address != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, e.Address)
		}
	}
	return Client{Endpoint: e, http: &http.Client{Timeout: timeout, Transport: transport}}
}

// Response is a response that was read completely.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request; a body is JSON.
func (c Client) Do(ctx context.Context, method, path, body string) (Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return Response{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return Response{Status: answer.StatusCode, Header: answer.Header, Body: content}, err
}

// Get gets a page; any status but 200 is an error.
func (c Client) Get(ctx context.Context, path string) (Response, error) {
	r, err := c.Do(ctx, http.MethodGet, path, "")
	if err == nil && r.Status != http.StatusOK {
		err = fmt.Errorf("GET %s%s: %d %.200s", c.URL, path, r.Status, r.Body)
	}
	return r, err
}
