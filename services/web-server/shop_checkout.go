package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
)

// checkout is the shop for browsers without JavaScript: two pages, one to buy a
// thing and one that lists a user's purchases.
//
// The form to buy carries an idempotency key of its own. However often it is
// sent, by a second press, a reload or a retry, it is one purchase.
type checkout struct {
	*server
	// There is no session that another site could use. But it could buy in a
	// visitor's name, or through a browser that reaches a shop which it can't.
	sameOrigin *http.CrossOriginProtection
}

func newCheckout(s *server) *checkout {
	return &checkout{server: s, sameOrigin: http.NewCrossOriginProtection()}
}

func (k *checkout) addRoutes(engine *gin.Engine) {
	engine.GET("/shop/buy", k.offer)
	engine.POST("/shop/buy", k.limitBodies(k.tooLarge), k.order)
	engine.GET("/shop/purchases", k.purchases)
	engine.GET("/shop/way/:eventId", k.way)
}

// order is what the page to buy a thing shows.
type order struct {
	Product          product
	Currency         string
	Username, UserID string
	Key              string
	Trouble          string // why it is not bought, or ""
	Uncertain        bool   // whether it may have been bought all the same
	Faults           map[string]string
}

// offer shows the form to buy a thing, filled in for a suggested shopper.
func (k *checkout) offer(c *gin.Context) {
	item, ok := k.item(c, c.Query("product"))
	if !ok {
		return
	}
	key, err := uuid.NewRandom()
	if err != nil {
		k.failed(c, fmt.Errorf("making an idempotency key: %w", err))
		return
	}
	o := order{Product: item, Currency: k.currency, UserID: c.Query("userid"), Key: key.String()}
	for _, s := range suggestedShoppers() {
		if s.ID == o.UserID {
			o.Username = s.Name
		}
	}
	k.show(c, http.StatusOK, buyPage(o))
}

// order buys what the form says, at the price of the catalogue.
func (k *checkout) order(c *gin.Context) {
	if err := k.sameOrigin.Check(c.Request); err != nil {
		k.show(c, http.StatusForbidden, troublePage("This form was sent from another site. Buy from the shop itself."))
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	if err := c.Request.ParseForm(); err != nil {
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			k.tooLarge(c)
			return
		}
		k.show(c, http.StatusBadRequest, troublePage("The form could not be read."))
		return
	}
	form := c.Request.PostForm
	item, ok := k.item(c, form.Get("product"))
	if !ok {
		return
	}
	o := order{Product: item, Currency: k.currency, Username: form.Get("username"), UserID: form.Get("userid"), Key: form.Get("key"), Faults: map[string]string{}}
	request, err := k.readOrder(o, form)
	if err != nil {
		o.Trouble = "It was not bought: something is missing or wrong."
		for _, fault := range fieldErrors(err) {
			o.Faults[fault.Field] = fault.Detail
		}
		k.show(c, http.StatusBadRequest, buyPage(o))
		return
	}

	id := eventIDFor(o.UserID, o.Key)
	_, _, err = k.record(c.Request.Context(), request, id)
	switch {
	case err == nil:
		bought := url.Values{"userid": {o.UserID}, "bought": {id}, "product": {item.ID}}
		c.Redirect(http.StatusSeeOther, "/shop/purchases?"+bought.Encode())
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(httpx.StatusClientGone)
	case errors.Is(err, kafkax.ErrUnavailable):
		o.Trouble, o.Uncertain = "Kafka has not acknowledged the purchase: it may be recorded or not.", true
		c.Header("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		k.show(c, http.StatusServiceUnavailable, buyPage(o))
	default:
		k.failed(c, err)
	}
}

func (k *checkout) tooLarge(c *gin.Context) {
	k.show(c, http.StatusRequestEntityTooLarge, troublePage("The form could not be read: it is too long."))
}

// readOrder reads a form as the API reads a body. The error is an
// *event.Invalid with every fault.
func (k *checkout) readOrder(o order, form url.Values) (event.BuyRequest, error) {
	var invalid event.Invalid
	for _, name := range []string{"username", "userid", "key"} {
		// An encoder would replace it, and make one user of two.
		if value := form[name]; len(value) != 1 || !utf8.ValidString(value[0]) {
			invalid.Faults = append(invalid.Faults, event.Fault{Field: name, Detail: "must be given once, in UTF-8"})
		}
	}
	if len(invalid.Faults) == 0 && !isKey(o.Key) {
		invalid.Faults = append(invalid.Faults, event.Fault{Field: "key", Detail: "must be the one that the form came with"})
	}
	if len(invalid.Faults) > 0 {
		return event.BuyRequest{}, &invalid
	}
	body, err := json.Marshal(map[string]any{
		"username": o.Username, "userid": o.UserID, "price": json.Number(o.Product.Price), "product": o.Product.Name,
	})
	if err != nil {
		return event.BuyRequest{}, fmt.Errorf("reading the form: %w", err)
	}
	return event.ParseBuyRequest(body, k.currency)
}

// item returns the thing of the catalogue with an id. When it returns false, it
// has answered.
func (k *checkout) item(c *gin.Context, id string) (product, bool) {
	shelf := catalogue(k.currency)
	i := slices.IndexFunc(shelf, func(p product) bool { return p.ID == id })
	if i < 0 {
		k.show(c, http.StatusNotFound, troublePage("The shop has no such thing."))
		return product{}, false
	}
	return shelf[i], true
}

// failed answers with a fault of the shop's that is not transient.
func (k *checkout) failed(c *gin.Context, err error) {
	k.log.ErrorContext(c.Request.Context(), "the checkout failed", "error", err)
	k.show(c, http.StatusInternalServerError, troublePage("It was not bought: the shop could not record it."))
}

// show answers with a page.
func (k *checkout) show(c *gin.Context, status int, page templ.Component) {
	// A client that has gone is no reason to stop within a page, and no fault.
	ctx := context.WithoutCancel(c.Request.Context())
	var body bytes.Buffer
	if err := page.Render(ctx, &body); err != nil {
		k.log.ErrorContext(ctx, "writing a page", "error", err)
		c.AbortWithStatus(http.StatusInternalServerError)
		return
	}
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	// Without a referrer a browser that sends no Sec-Fetch-Site, as over plain
	// HTTP, would not say where a form comes from.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
}
