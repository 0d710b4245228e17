package plan

import (
	"encoding/json"
	"slices"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
)

// Picture is what the page /system of api draws: the parts of the platform, and what flows between them.
type Picture struct {
	Parts []Part `json:"parts"`
	Flows []Flow `json:"flows"`
}

// Part is one node of the picture.
type Part struct {
	Name string `json:"name"`

	// Kind is one of person, service, topic, letters (a topic of dead letters), database and brokers.
	Kind string `json:"kind"`

	// Group is the consumer group of a service that reads a topic.
	Group string `json:"group,omitempty"`
}

// Flow is one arrow of the picture, in the direction of the data; between services, from the caller to the callee.
type Flow struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// The names of the parts that are neither a service nor a topic.
const (
	partShopper  = "shopper"
	partOperator = "operator"
	partDatabase = "MongoDB"
	partBrokers  = "Kafka"
)

// NewPicture derives the picture from the tables: the services, their topics, and what the access list grants.
func NewPicture(c config.Config) Picture {
	services := servicesAlone(c)
	p := Picture{Parts: []Part{{Name: partShopper, Kind: "person"}}}
	p.flow(partShopper, WebServer)
	for _, s := range services {
		p.Parts = append(p.Parts, Part{Name: s.Name, Kind: "service", Group: s.Scale.Group})
	}
	for _, t := range c.Topics.All() {
		kind := "topic"
		if t.Name == c.Topics.PurchasesDLQ.Name || t.Name == c.Topics.OrdersDLQ.Name {
			kind = "letters"
		}
		p.Parts = append(p.Parts, Part{Name: t.Name, Kind: kind})
	}
	p.Parts = append(p.Parts, Part{Name: partDatabase, Kind: "database"}, Part{Name: partBrokers, Kind: "brokers"})

	for _, s := range services {
		if s.Scale.Lag != nil {
			p.flow(s.Scale.Lag.Name, s.Name)
		}
		if s.Database {
			p.flow(s.Name, partDatabase)
		}
		for _, topic := range written(c, s) {
			p.flow(s.Name, topic)
		}
	}
	p.flow(WebServer, ManagementAPI)
	p.Parts = append(p.Parts, Part{Name: partOperator, Kind: "person"})
	p.flow(partBrokers, API)
	p.flow(API, partOperator)
	return p
}

// JSON is the picture as api reads it.
func (p Picture) JSON() string {
	text, _ := json.Marshal(p) // strings alone can't fail
	return string(text)
}

func (p *Picture) flow(from, to string) { p.Flows = append(p.Flows, Flow{From: from, To: to}) }

// written returns the topics that a service writes all the time: those that it may write and that its environment names.
// It may write the topic that it reads too, but only to replay dead letters.
func written(c config.Config, s Service) []string {
	var topics []string
	for _, g := range Grants(c) {
		if g.User != s.Name || g.Topic == "" || !slices.Contains(g.Operations, "Write") {
			continue
		}
		if replays := s.Scale.Lag != nil && g.Topic == s.Scale.Lag.Name; !replays && s.names(g) {
			topics = append(topics, g.Topic)
		}
	}
	return topics
}

// names reports whether the environment of the service names the topic of a grant.
func (s Service) names(g kafka.Grant) bool {
	for _, e := range s.Environment("") {
		if e.Value == g.Topic {
			return true
		}
	}
	return false
}
