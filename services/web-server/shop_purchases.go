package main

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
)

// purchase is one line of the list, as management-api has it. Purchases of the
// original system have neither minor units nor a currency.
type purchase struct {
	Price      float64 `json:"price"`
	PriceMinor *int64  `json:"priceMinor"`
	Currency   string  `json:"currency"`
	Product    string  `json:"product"`
	Timestamp  float64 `json:"timestamp"`
	EventID    string  `json:"eventId"`
}

// Amount is the price with its currency.
func (p purchase) Amount() string {
	digits := event.MinorDigits(p.Currency)
	amount := p.Price
	if p.PriceMinor != nil {
		amount = float64(*p.PriceMinor) / math.Pow10(digits)
	}
	return strconv.FormatFloat(amount, 'f', digits, 64) + " " + p.Currency
}

// At is when it was bought.
func (p purchase) At() time.Time { return event.TimeOf(p.Timestamp).Time }

// purchaseList is what the list of purchases shows.
type purchaseList struct {
	UserID    string
	Purchases []purchase
	Older     string // address of the next page, or ""
	Trouble   string // why there is no list, or ""
	Bought    *bought
}

// bought is the purchase that the visitor has just made, and its state.
type bought struct{ Product, State, Reason, Again, ID string }

const purchasesShown = 20

// purchases lists what a user has bought, newest first, and shows the state of what has
// just been bought.
func (k *checkout) purchases(c *gin.Context) {
	list := purchaseList{UserID: c.Query("userid")}
	if list.UserID == "" {
		k.show(c, http.StatusOK, purchasesPage(list))
		return
	}
	if id, err := uuid.Parse(c.Query("bought")); err == nil {
		list.Bought = k.bought(c, id)
	}
	query := url.Values{"limit": {strconv.Itoa(purchasesShown)}}
	if before := c.Query("before"); before != "" {
		query.Set("before", before)
	}
	got, err := k.management.get(c.Request.Context(), "/api/v1/purchases/"+escapeSegment(list.UserID), query)
	if err == nil && got.status == http.StatusOK {
		err = json.Unmarshal(got.body, &list.Purchases)
	}
	switch {
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(httpx.StatusClientGone)
		return
	case err == nil && got.status == http.StatusBadRequest:
		list.Trouble = "There is no such list: the user id or the page is not valid."
		k.show(c, http.StatusBadRequest, purchasesPage(list))
		return
	case err != nil || got.status != http.StatusOK:
		list.Trouble = "The purchases can’t be shown right now. What was accepted is safe."
		c.Header("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		k.show(c, http.StatusServiceUnavailable, purchasesPage(list))
		return
	}
	for i := range list.Purchases {
		if p := &list.Purchases[i]; p.Currency == "" {
			p.Currency = k.currency
		}
	}
	if next := nextQuery(got.header); next != nil {
		older := url.Values{"userid": {list.UserID}, "before": {next.Get("before")}}
		list.Older = "/shop/purchases?" + older.Encode()
	}
	k.show(c, http.StatusOK, purchasesPage(list))
}

// bought asks for the state of a purchase, which stays "accepted" while there is no
// answer.
func (k *checkout) bought(c *gin.Context, id uuid.UUID) *bought {
	b := &bought{Product: "Your purchase", State: "accepted", Again: c.Request.URL.RequestURI(), ID: id.String()}
	for _, p := range catalogue(k.currency) {
		if p.ID == c.Query("product") {
			b.Product = p.Name
		}
	}
	got, err := k.management.get(c.Request.Context(), "/api/v1/purchases/by-event/"+id.String(), nil)
	if err != nil || got.status != http.StatusOK {
		return b
	}
	var answer struct{ State, Reason, Error string }
	if json.Unmarshal(got.body, &answer) == nil && answer.State != "" {
		b.State, b.Reason = answer.State, answer.Error
	}
	return b
}
