// Package clients uses the generated clients with a running platform.
package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"clients/api"
	"clients/managementapi"
	"clients/webserver"
)

func TestAPurchaseIsTheSameInEveryAPI(t *testing.T) {
	shop, err := webserver.NewClientWithResponses(os.Getenv("WEB_SERVER"))
	fatal(t, err)
	management, err := managementapi.NewClientWithResponses(os.Getenv("MANAGEMENT_API"))
	fatal(t, err)
	kafka, err := api.NewClientWithResponses(os.Getenv("API"))
	fatal(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	// The stream is opened before the purchase that it will show.
	topic, user, key, socks := "purchases", "ada/ö +?", "first", "Wool socks"
	stream, err := kafka.StreamMessages(ctx, &api.StreamMessagesParams{Topic: &topic})
	fatal(t, err)
	defer stream.Body.Close()

	bought, err := shop.BuyWithResponse(ctx, &webserver.BuyParams{IdempotencyKey: &key},
		webserver.BuyRequest{Username: "Ada", Userid: user, Price: 19.99, Product: &socks})
	fatal(t, err)
	if bought.JSON202 == nil {
		t.Fatalf("buy = %s %s", bought.Status(), bought.Body)
	}
	receipt := bought.JSON202.Data
	if receipt.Price != 19.99 || receipt.Userid != user || receipt.Product == nil || *receipt.Product != socks ||
		*bought.Headers202.Location != "/api/v1/buys/"+receipt.EventId.String() {
		t.Errorf("receipt = %s", bought.Body)
	}

	for {
		state, err := shop.BuyStateWithResponse(ctx, receipt.EventId)
		fatal(t, err)
		if state.JSON200 == nil {
			t.Fatalf("state = %s %s", state.Status(), state.Body)
		}
		if state.JSON200.State == webserver.BuyStateStateStored {
			if state.JSON200.Purchase.Timestamp != receipt.Timestamp {
				t.Errorf("stored at %f, receipt says %f", state.JSON200.Purchase.Timestamp, receipt.Timestamp)
			}
			break
		}
		time.Sleep(20 * time.Millisecond) // ctx bounds the loop
	}

	stored, err := management.PurchaseByEventWithResponse(ctx, receipt.EventId)
	fatal(t, err)
	event, err := stored.JSON200.AsStored()
	fatal(t, err)
	if p := event.Purchase; p.Timestamp != receipt.Timestamp || p.Price != 19.99 || p.PriceMinor != 1999 || p.Userid != user || *p.Product != socks {
		t.Errorf("stored as %+v", p)
	}

	one := int32(1)
	last, err := kafka.ListMessagesWithResponse(ctx, &api.ListMessagesParams{Topic: &topic, Limit: &one})
	fatal(t, err)
	if last.JSON200 == nil || len(*last.JSON200) != 1 || *last.Headers200.XComplete != "true" {
		t.Fatalf("messages = %s %s", last.Status(), last.Body)
	}
	message := (*last.JSON200)[0]
	if sameEvent(t, message, receipt.Timestamp); *message.Key != user {
		t.Errorf("key = %q", *message.Key)
	}

	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
			var streamed api.Message
			fatal(t, json.Unmarshal([]byte(data), &streamed))
			sameEvent(t, streamed, receipt.Timestamp)
			break
		}
	}
	fatal(t, ctx.Err())
}

func sameEvent(t *testing.T, m api.Message, timestamp float64) {
	t.Helper()
	var event struct{ Timestamp float64 }
	fatal(t, json.Unmarshal([]byte(*m.Value), &event))
	if event.Timestamp != timestamp {
		t.Errorf("event of %f, receipt says %f", event.Timestamp, timestamp)
	}
}

func TestEveryPageIsReachedByItsCursor(t *testing.T) {
	shop, err := webserver.NewClientWithResponses(os.Getenv("WEB_SERVER"))
	fatal(t, err)
	management, err := managementapi.NewClientWithResponses(os.Getenv("MANAGEMENT_API"))
	fatal(t, err)
	kafka, err := api.NewClientWithResponses(os.Getenv("API"))
	fatal(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	const user = "grace"
	prices := []float64{3, 2.01, 1} // newest first
	for i := range prices {
		bought, err := shop.BuyOriginalWithResponse(ctx, nil, webserver.BuyRequest{Username: "Grace", Userid: user, Price: prices[len(prices)-1-i]})
		fatal(t, err)
		if bought.JSON202 == nil {
			t.Fatalf("buy = %s %s", bought.Status(), bought.Body)
		}
	}
	for {
		all, err := shop.GetAllUserBuysOriginalWithResponse(ctx, user, nil)
		fatal(t, err)
		if all.JSON200 != nil && len(*all.JSON200) == len(prices) {
			break
		}
		time.Sleep(20 * time.Millisecond) // ctx bounds the loop
	}

	one := int32(1)
	var viaShop, viaManagement, viaKafka []float64
	for cursor := (*string)(nil); cursor != nil || len(viaShop) == 0; {
		page, err := shop.GetAllUserBuysWithResponse(ctx, user, &webserver.GetAllUserBuysParams{Limit: &one, Before: cursor})
		fatal(t, err)
		viaShop = append(viaShop, (*page.JSON200)[0].Price)
		cursor = page.Headers200.XNextCursor
	}
	for cursor := (*string)(nil); cursor != nil || len(viaManagement) == 0; {
		page, err := management.ListPurchasesWithResponse(ctx, user, &managementapi.ListPurchasesParams{Limit: &one, Before: cursor})
		fatal(t, err)
		viaManagement = append(viaManagement, (*page.JSON200)[0].Price)
		cursor = page.Headers200.XNextCursor
	}
	topic := "purchases"
	for cursor := (*string)(nil); cursor != nil || len(viaKafka) == 0; {
		page, err := kafka.ListMessagesWithResponse(ctx, &api.ListMessagesParams{Topic: &topic, Limit: &one, Cursor: cursor})
		fatal(t, err)
		var event struct {
			Userid string
			Price  float64
		}
		fatal(t, json.Unmarshal([]byte(*(*page.JSON200)[0].Value), &event))
		if event.Userid == user {
			viaKafka = append(viaKafka, event.Price)
		}
		cursor = page.Headers200.XNextCursor
	}
	for name, got := range map[string][]float64{"web-server": viaShop, "management-api": viaManagement, "api": viaKafka} {
		if len(got) != len(prices) || got[0] != prices[0] || got[1] != prices[1] || got[2] != prices[2] {
			t.Errorf("%s: %v, want %v", name, got, prices)
		}
	}
}

func TestRefusalsAreProblemsThatNameTheField(t *testing.T) {
	shop, err := webserver.NewClientWithResponses(os.Getenv("WEB_SERVER"))
	fatal(t, err)
	management, err := managementapi.NewClientWithResponses(os.Getenv("MANAGEMENT_API"))
	fatal(t, err)
	kafka, err := api.NewClientWithResponses(os.Getenv("API"))
	fatal(t, err)

	bought, err := shop.BuyWithResponse(t.Context(), nil, webserver.BuyRequest{Username: "Ada"})
	fatal(t, err)
	if p := bought.ApplicationproblemJSON400; p == nil || p.Status != http.StatusBadRequest || p.Errors == nil || len(*p.Errors) != 2 {
		t.Errorf("buy = %s %s", bought.Status(), bought.Body)
	}
	none := int32(0)
	page, err := management.ListPurchasesWithResponse(t.Context(), "ada", &managementapi.ListPurchasesParams{Limit: &none})
	fatal(t, err)
	if p := page.ApplicationproblemJSON400; p == nil || p.Errors == nil || (*p.Errors)[0].Field != "limit" {
		t.Errorf("purchases = %s %s", page.Status(), page.Body)
	}
	absent := "absent"
	messages, err := kafka.ListMessagesWithResponse(t.Context(), &api.ListMessagesParams{Topic: &absent})
	fatal(t, err)
	if p := messages.ApplicationproblemJSON404; p == nil || p.Status != http.StatusNotFound {
		t.Errorf("messages = %s %s", messages.Status(), messages.Body)
	}

	topics, err := kafka.ListTopicsWithResponse(t.Context())
	fatal(t, err)
	groups, err := kafka.ListGroupsWithResponse(t.Context())
	fatal(t, err)
	if topics.JSON200 == nil || len(*topics.JSON200) == 0 || groups.JSON200 == nil || len(*groups.JSON200) == 0 {
		t.Errorf("topics = %s, groups = %s", topics.Body, groups.Body)
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
