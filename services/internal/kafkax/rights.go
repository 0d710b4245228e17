package kafkax

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Need is a right that a service can't work without.
type Need struct {
	Topic     string
	Group     string // if Topic is empty
	Operation kmsg.ACLOperation
}

// Reads is the need to read a topic.
func Reads(topic string) Need { return Need{Topic: topic, Operation: kmsg.ACLOperationRead} }

// Writes is the need to write to a topic.
func Writes(topic string) Need { return Need{Topic: topic, Operation: kmsg.ACLOperationWrite} }

// Joins is the need to join a consumer group.
func Joins(group string) Need { return Need{Group: group, Operation: kmsg.ACLOperationRead} }

// lacks returns the error for a need that isn't granted.
func (c Config) lacks(n Need) error {
	kind, name := "topic", n.Topic
	if n.Group != "" {
		kind, name = "group", n.Group
	}
	return refusal("user %q may not %s %s %q: grant it (ACLS of topics), or give the service its own credential", c.SASLUsername, n.Operation, kind, name)
}

// Probe returns the health check of Kafka for a service with these needs: a broker
// answers, the topics exist, and the service has the rights that it needs. (A
// client without them keeps trying silently.)
func (c Config) Probe(client *kafka.Producer, needs ...Need) func(context.Context) error {
	var topics, groups []string
	for _, n := range needs {
		if n.Topic != "" && !slices.Contains(topics, n.Topic) {
			topics = append(topics, n.Topic)
		}
		if n.Group != "" {
			groups = append(groups, n.Group)
		}
	}
	asking := sync.OnceValues(func() (*kgo.Client, error) { return c.Direct("health") })
	granted := rights{question: func(ctx context.Context) error {
		// Not librdkafka's client: its requests to coordinators can end the process if their
		// broker goes away meanwhile, https://github.com/confluentinc/librdkafka/issues/4605.
		client, err := asking()
		if err != nil {
			return err
		}
		granted, err := grantedTo(ctx, client, topics, groups)
		if err != nil {
			return c.Explained(ctx, fmt.Errorf("requesting this service's access rights: %w", err))
		}
		for _, n := range needs {
			// No entry means that the broker doesn't report rights: a broker that does lists
			// at least the right to describe.
			operations := granted[Need{Topic: n.Topic, Group: n.Group}]
			if len(operations) > 0 && !slices.Contains(operations, n.Operation) {
				return c.lacks(n)
			}
		}
		return nil
	}, known: errUnknownRights}
	return func(ctx context.Context) error {
		for _, topic := range topics {
			if err := c.Reachable(ctx, client, topic); err != nil {
				return err
			}
		}
		if c.SecurityProtocol == "plaintext" {
			return nil // without TLS and authentication there are no access rights
		}
		return granted.check(ctx)
	}
}

// rights asks for a service's rights. A coordinator may take longer to answer than a health
// check waits, above all while its cluster starts: the question goes on then, and what was
// known before counts until there is an answer.
type rights struct {
	question func(context.Context) error // returns nil if all are granted

	mu       sync.Mutex
	answered chan struct{} // closed with the answer; nil if nothing is asked
	known    error
}

var errUnknownRights = errors.New("this service's access rights are not known yet: the brokers haven't answered")

func (r *rights) check(ctx context.Context) error {
	r.mu.Lock()
	if r.answered == nil {
		r.answered = make(chan struct{})
		go r.ask(context.WithoutCancel(ctx))
	}
	answered := r.answered
	r.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

func (r *rights) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, OnceTimeout)
	defer cancel()
	err := r.question(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	certain := func(err error) bool { return err == nil || errors.Is(err, ErrRefused) }
	if certain(err) || !certain(r.known) {
		r.known = err
	}
	close(r.answered)
	r.answered = nil
}

// grantedTo requests this client's access rights from the brokers. The keys have no
// Operation.
func grantedTo(ctx context.Context, client *kgo.Client, topics, groups []string) (map[Need][]kmsg.ACLOperation, error) {
	granted := map[Need][]kmsg.ACLOperation{}
	if len(topics) > 0 {
		request := kmsg.NewPtrMetadataRequest()
		request.IncludeTopicAuthorizedOperations = true
		for _, topic := range topics {
			request.Topics = append(request.Topics, metadataOf(topic).Topics...)
		}
		answer, err := request.RequestWith(ctx, client)
		if err != nil {
			return nil, fmt.Errorf("for topics: %w", err)
		}
		for _, t := range answer.Topics {
			if t.ErrorCode == 0 && t.Topic != nil {
				granted[Need{Topic: *t.Topic}] = kadm.DecodeACLOperations(t.AuthorizedOperations)
			}
		}
	}
	for _, group := range groups {
		operations, err := grantedOn(ctx, kadm.NewClient(client), group)
		if err != nil {
			return nil, fmt.Errorf("for group %q: %w", group, err)
		}
		granted[Need{Group: group}] = operations
	}
	return granted, nil
}

// grantedOn requests this client's rights on a group, of whichever protocol.
func grantedOn(ctx context.Context, admin *kadm.Client, group string) ([]kmsg.ACLOperation, error) {
	none := []kmsg.ACLOperation{kmsg.ACLOperationUnknown} // not even to describe it
	modern, err := admin.DescribeConsumerGroups(ctx, group)
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return none, nil
	}
	if g, ok := modern[group]; err == nil && ok && g.Err == nil {
		return g.AuthorizedOperations, nil
	}
	classic, err := admin.DescribeGroups(ctx, group)
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return none, nil
	case err != nil:
		return nil, err
	}
	return classic[group].AuthorizedOperations, nil
}
