package platform

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

// TestGrantsAreWhatServicesNeed requires that every client can do its work, and that nobody can do more with a topic than
// read it unless it writes to the topic.
func TestGrantsAreWhatServicesNeed(t *testing.T) {
	c, err := config.Defaults(config.Production)
	if err != nil {
		t.Fatal(err)
	}
	writers := map[string][]string{
		c.Topics.Purchases.Name:     {plan.WebServer, plan.ManagementAPI, plan.Producer},
		c.Topics.PurchasesDLQ.Name:  {plan.ManagementAPI},
		c.Topics.Orders.Name:        {plan.Producer},
		c.Topics.OrdersDLQ.Name:     {plan.Consumer},
		c.Topics.ProductTotals.Name: {plan.Consumer},
	}
	granted := map[string]bool{}
	for _, g := range plan.Grants(c) {
		granted[g.User] = true
		if !slices.Contains(plan.Clients(c), g.User) {
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
		if g.Topic == "*" && g.User != plan.API {
			t.Errorf("%s may see every topic", g.User)
		}
	}
	for topic, users := range writers {
		for _, user := range users {
			if !slices.ContainsFunc(plan.Grants(c), func(g kafka.Grant) bool {
				return g.User == user && g.Topic == topic && slices.Contains(g.Operations, "Write")
			}) {
				t.Errorf("%s may not write to %s", user, topic)
			}
		}
	}
	for _, user := range plan.Clients(c) {
		if !granted[user] {
			t.Errorf("%s can come in, and may do nothing", user)
		}
	}
}

// TestAccessPage generates docs/infra-access.md from the grants, and fails if the page is stale.
func TestAccessPage(t *testing.T) {
	c, err := config.Defaults(config.Production)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	page.WriteString(`<!-- Generated from infra/internal/plan: go test -trimpath ./internal/platform -run TestAccessPage -update -->
# Who may do what on Kafka

With ` + "`kafka.secure`" + `, each service authenticates with a username and password of its own, and may do what is in this table. The brokers
refuse everything else. The ` + "`topics`" + ` Job applies the table in every run. Read and Write include Describe.

| user | operations | on |
|---|---|---|
`)
	for _, g := range plan.Grants(c) {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", g.User, strings.Join(g.Operations, ", "), target(g))
	}
	fmt.Fprintf(&page, "| `%s` | everything | the cluster: only the Job of `topics` has its password |\n", kafka.Admin)
	fmt.Fprintf(&page, "| `CN=%s` | everything | the brokers and controllers among themselves, known by their certificates |\n", kafka.NodeName)
	page.WriteString(`
The stack doesn't touch the access list of an [external Kafka](external-kafka.md). There, the user of each service, or the ` + "`default`" + ` for all of
them, needs what this table says. ` + "`topics`" + ` needs Describe and DescribeConfigs on each topic to compare it, and Create, Alter and
AlterConfigs to change it.
`)
	golden.Compare(t, "../../../docs/infra-access.md", page.Bytes())
}

func target(g kafka.Grant) string {
	name := func(kind, name string) string {
		switch {
		case name == "*":
			return "every " + kind
		case g.Prefixed:
			return kind + "s that begin with `" + name + "`"
		}
		return kind + " `" + name + "`"
	}
	switch {
	case g.Topic != "":
		return name("topic", g.Topic)
	case g.Group != "":
		return name("group", g.Group)
	case g.TransactionalID != "":
		return name("transactional id", g.TransactionalID)
	}
	return "the cluster"
}
