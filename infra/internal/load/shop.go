package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"shopstream/infra/internal/endpoint"
)

// requestTimeout is longer than the shop takes for any answer, including a refusal.
const requestTimeout = 15 * time.Second

// client calls the shop or api.
type client struct{ endpoint.Client }

func newClient(e endpoint.Endpoint, connections int) client {
	return client{endpoint.New(e, requestTimeout, connections)}
}

// get decodes a response.
func (c client) get(ctx context.Context, path string, into any) (http.Header, error) {
	r, err := c.Get(ctx, path)
	if err == nil {
		err = json.Unmarshal(r.Body, into)
	}
	return r.Header, err
}

// buy sends one purchase. It returns the event's id if the purchase was acknowledged, and the status, which is 0 without an
// answer.
func (c client) buy(ctx context.Context, buyer string, number int) (event string, status int) {
	r, err := c.Do(ctx, http.MethodPost, "/api/v1/buy", fmt.Sprintf(`{"username":"Load Test","userid":%q,"price":%d}`, buyer, number))
	if err != nil {
		return "", 0
	}
	var answer struct{ Data struct{ EventID string } }
	if r.Status == http.StatusAccepted && json.Unmarshal(r.Body, &answer) == nil {
		return answer.Data.EventID, r.Status
	}
	return "", r.Status
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
