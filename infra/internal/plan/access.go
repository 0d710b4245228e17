package plan

import (
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
)

// KEDAUser is KEDA's SASL username.
const KEDAUser = "keda"

// Authenticated reports whether clients need a Secret to connect to Kafka: for a password, or to verify the brokers.
func Authenticated(c config.Config) bool {
	external := c.Kafka.External
	return c.Kafka.Secure || c.Kafka.IsExternal() && (external.TLS || external.SASL != "")
}

// Users returns every SASL username: the clients', and the administrator's.
func Users(c config.Config) []string {
	return append(Clients(c), kafka.Admin)
}

// Clients returns the SASL usernames that have grants: the services' and KEDA's.
func Clients(c config.Config) []string {
	var names []string
	for _, s := range Services(c) {
		names = append(names, s.Name)
	}
	return append(names, KEDAUser)
}

// Grants returns what each user may do, which is no more than it needs.
func Grants(c config.Config) []kafka.Grant {
	t := c.Topics
	read := []string{"Read", "Describe"}
	write := []string{"Write", "Describe"}
	return []kafka.Grant{
		{User: WebServer, Operations: write, Topic: t.Purchases.Name},

		// It also replays dead letters: it reads them and writes them to the topic they came from.
		{User: ManagementAPI, Operations: []string{"Read", "Write", "Describe"}, Topic: t.Purchases.Name},
		{User: ManagementAPI, Operations: []string{"Read", "Write", "Describe"}, Topic: t.PurchasesDLQ.Name},
		{User: ManagementAPI, Operations: read, Group: managementGroup},
		{User: ManagementAPI, Operations: read, Group: replayGroup},

		{User: Consumer, Operations: read, Topic: t.Orders.Name},
		{User: Consumer, Operations: write, Topic: t.OrdersDLQ.Name},
		{User: Consumer, Operations: []string{"Read", "Write", "Describe"}, Topic: t.ProductTotals.Name},
		{User: Consumer, Operations: read, Group: consumerGroup},
		{User: Consumer, Operations: write, TransactionalID: consumerGroup + "-", Prefixed: true},

		{User: Producer, Operations: write, Topic: t.Orders.Name},
		// As the load generator it can send purchases too.
		{User: Producer, Operations: write, Topic: t.Purchases.Name},

		// It shows every topic and every group, and changes none.
		{User: API, Operations: []string{"Read", "Describe", "DescribeConfigs"}, Topic: "*"},
		{User: API, Operations: []string{"Describe"}, Group: "*"},
		// Which node leads the controllers is told to nobody with less; nothing can be changed with it.
		{User: API, Operations: []string{"Describe"}, Cluster: true},

		{User: KEDAUser, Operations: []string{"Describe"}, Topic: t.Purchases.Name},
		{User: KEDAUser, Operations: []string{"Describe"}, Topic: t.Orders.Name},
		{User: KEDAUser, Operations: []string{"Describe"}, Group: managementGroup},
		{User: KEDAUser, Operations: []string{"Describe"}, Group: consumerGroup},
	}
}
