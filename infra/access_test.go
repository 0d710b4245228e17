package main

import (
	"slices"
	"testing"

	"shopstream/infra/internal/kafka"
)

// TestGrantsAreWhatServicesNeed wants every client to be able to do its work, and nobody to be able to do more to a
// topic than read it unless it is the topic's writer.
func TestGrantsAreWhatServicesNeed(t *testing.T) {
	c, err := defaults(profileProduction)
	if err != nil {
		t.Fatal(err)
	}
	writers := map[string][]string{
		c.Topics.Purchases.Name:     {webServer, managementAPI, producer},
		c.Topics.PurchasesDLQ.Name:  {managementAPI},
		c.Topics.Orders.Name:        {producer},
		c.Topics.OrdersDLQ.Name:     {consumer},
		c.Topics.ProductTotals.Name: {consumer},
	}
	granted := map[string]bool{}
	for _, g := range c.grants() {
		granted[g.User] = true
		if !slices.Contains(c.clients(), g.User) {
			t.Errorf("%s may do something, and can't come in", g.User)
		}
		if slices.Contains(g.Operations, "Write") && g.Topic != "" && !slices.Contains(writers[g.Topic], g.User) {
			t.Errorf("%s may write to %s", g.User, g.Topic)
		}
		for _, operation := range []string{"All", "Delete", "ClusterAction"} {
			if slices.Contains(g.Operations, operation) {
				t.Errorf("%s may %s", g.User, operation)
			}
		}
		if g.Topic == "*" && g.User != apiService {
			t.Errorf("%s may see every topic", g.User)
		}
	}
	for topic, users := range writers {
		for _, user := range users {
			if !slices.ContainsFunc(c.grants(), func(g kafka.Grant) bool {
				return g.User == user && g.Topic == topic && slices.Contains(g.Operations, "Write")
			}) {
				t.Errorf("%s may not write to %s", user, topic)
			}
		}
	}
	for _, user := range c.clients() {
		if !granted[user] {
			t.Errorf("%s can come in, and may do nothing", user)
		}
	}
}
