package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Endpoint is where the platform's HTTP interfaces are reached.
type Endpoint struct {
	URL     string
	Address string // host:port to connect to instead of the URL's; may be empty
	Token   string // bearer token for api; empty if it requires none
}

// requestTimeout is longer than the shop takes for any answer, including a refusal.
const requestTimeout = 15 * time.Second

// client calls an Endpoint.
type client struct {
	http *http.Client
	Endpoint
}

// newClient returns a client with at most that many connections. Like the smoke test it uses no proxy, and accepts any
// certificate.
func newClient(e Endpoint, connections int) client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the certificate is not what is tested
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 30 * time.Second,
	}
	if e.Address != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, e.Address)
		}
	}
	return client{&http.Client{Timeout: requestTimeout, Transport: transport}, e}
}

func (c client) do(ctx context.Context, method, path, body string) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, content, err
}

// get decodes a response; any status but 200 is an error.
func (c client) get(ctx context.Context, path string, into any) (http.Header, error) {
	code, header, body, err := c.do(ctx, http.MethodGet, path, "")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("GET %s%s: %d %.200s", c.URL, path, code, body)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	return header, err
}

// buy sends one purchase. It returns the event's id if the purchase was acknowledged, and the status, which is 0 without an
// answer.
func (c client) buy(ctx context.Context, buyer string, number int) (event string, status int) {
	code, _, body, err := c.do(ctx, http.MethodPost, "/api/v1/buy", fmt.Sprintf(`{"username":"Load Test","userid":%q,"price":%d}`, buyer, number))
	if err != nil {
		return "", 0
	}
	var answer struct{ Data struct{ EventID string } }
	if code == http.StatusAccepted && json.Unmarshal(body, &answer) == nil {
		return answer.Data.EventID, code
	}
	return "", code
}

// stored reports whether an event can be found in the database.
func (c client) stored(ctx context.Context, event string) bool {
	var answer struct{ State string }
	_, err := c.get(ctx, "/api/v1/buys/"+event, &answer)
	return err == nil && answer.State == "stored"
}

// purchase is a stored purchase. Its price is its number.
type purchase struct {
	EventID string
	Price   float64
}

var nextPage = regexp.MustCompile(`<([^>]*)>; rel="next"`)

// purchases lists all purchases of a buyer, page by page.
func (c client) purchases(ctx context.Context, buyer string) ([]purchase, error) {
	var all []purchase
	for path := "/api/v1/getAllUserBuys/" + buyer + "?limit=1000"; path != ""; {
		var page []purchase
		header, err := c.get(ctx, path, &page)
		if err != nil {
			return nil, fmt.Errorf("listing the purchases of %s: %w", buyer, err)
		}
		all, path = append(all, page...), ""
		if match := nextPage.FindStringSubmatch(header.Get("Link")); match != nil {
			path = match[1]
		}
	}
	return all, nil
}

// lag returns how many records of the group's topics are not processed yet.
func (c client) lag(ctx context.Context, group string) (int64, error) {
	var groups []struct {
		Group string
		Lag   int64
	}
	if _, err := c.get(ctx, "/groups", &groups); err != nil {
		return 0, err
	}
	for _, g := range groups {
		if g.Group == group {
			return g.Lag, nil
		}
	}
	return 0, fmt.Errorf("%s/groups has no group %s", c.URL, group)
}
