package main

import "shopstream/infra/internal/kafka"

// kedaUser is who KEDA is to the brokers.
const kedaUser = "keda"

// users returns everyone who may come in to the brokers: whoever calls them, and the administrator.
func (c Config) users() []string {
	return append(c.clients(), kafka.Admin)
}

// clients returns the users who may do what is granted to them: the services and the autoscaler.
func (c Config) clients() []string {
	var names []string
	for _, s := range c.services() {
		names = append(names, s.name)
	}
	return append(names, kedaUser)
}

// grants is what each user may do, and no more than it has to.
func (c Config) grants() []kafka.Grant {
	t := c.Topics
	read := []string{"Read", "Describe"}
	write := []string{"Write", "Describe"}
	return []kafka.Grant{
		{User: webServer, Operations: write, Topic: t.Purchases.Name},

		// It also puts dead letters back, so it reads its own and writes where they came from.
		{User: managementAPI, Operations: []string{"Read", "Write", "Describe"}, Topic: t.Purchases.Name},
		{User: managementAPI, Operations: []string{"Read", "Write", "Describe"}, Topic: t.PurchasesDLQ.Name},
		{User: managementAPI, Operations: read, Group: managementGroup},
		{User: managementAPI, Operations: read, Group: replayGroup},

		{User: consumer, Operations: read, Topic: t.Orders.Name},
		{User: consumer, Operations: write, Topic: t.OrdersDLQ.Name},
		{User: consumer, Operations: []string{"Read", "Write", "Describe"}, Topic: t.ProductTotals.Name},
		{User: consumer, Operations: read, Group: consumerGroup},
		{User: consumer, Operations: write, TransactionalID: consumerGroup + "-", Prefixed: true},

		{User: producer, Operations: write, Topic: t.Orders.Name},
		// As a load generator it makes purchases too.
		{User: producer, Operations: write, Topic: t.Purchases.Name},

		// It shows any topic and any group, and changes none.
		{User: apiService, Operations: read, Topic: "*"},
		{User: apiService, Operations: []string{"Describe"}, Group: "*"},

		{User: kedaUser, Operations: []string{"Describe"}, Topic: t.Purchases.Name},
		{User: kedaUser, Operations: []string{"Describe"}, Topic: t.Orders.Name},
		{User: kedaUser, Operations: []string{"Describe"}, Group: managementGroup},
		{User: kedaUser, Operations: []string{"Describe"}, Group: consumerGroup},
	}
}
