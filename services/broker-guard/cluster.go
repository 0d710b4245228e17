package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// requestTimeout limits one request, so that a broker that hangs delays nothing else.
const requestTimeout = 3 * time.Second

// cluster reads the state of Kafka.
type cluster struct{ client *kgo.Client }

// connect makes the client; without a TLS configuration the connection is plain.
func connect(cfg config, secured *tls.Config) (*cluster, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(strings.ReplaceAll(cfg.Servers, " ", ""), ",")...),
		kgo.ClientID("broker-guard"),
		kgo.DialTimeout(requestTimeout),
		kgo.RetryTimeout(requestTimeout),
	}
	if secured != nil {
		options = append(options, kgo.DialTLSConfig(secured))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("creating the client: %w", err)
	}
	return &cluster{client: client}, nil
}

// tlsConfig returns nil where the connection is plain.
func tlsConfig(authorityFile, keyFile string) (*tls.Config, error) {
	if authorityFile == "" {
		return nil, nil
	}
	authority, err := os.ReadFile(authorityFile)
	if err != nil {
		return nil, fmt.Errorf("reading KAFKA_TLS_CA_FILE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("reading KAFKA_TLS_CA_FILE: %s contains no certificate: it must be in PEM format", authorityFile)
	}
	pair, err := tls.LoadX509KeyPair(keyFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading KAFKA_TLS_KEY_FILE: %w", err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (c *cluster) close() { c.client.Close() }

// own reads one broker's own view. Only if a replica of its own is out of sync, the
// controllers are asked too whether that replica is being added by a reassignment: so a
// broker stays ready while they are unreachable.
func (c *cluster) own(ctx context.Context, id int32) (view, error) {
	if _, err := c.brokers(ctx); err != nil {
		return view{}, err
	}
	a, err := c.ask(ctx, id)
	if err != nil {
		return view{}, err
	}
	v := view{answers: []answer{a}}
	if inSync(v, id) == nil {
		return v, nil
	}
	adding, err := c.reassignments(ctx)
	if err != nil {
		return view{}, err
	}
	for i := range a.partitions {
		p := &a.partitions[i]
		p.adding = adding[place{p.topic, p.number}]
	}
	return v, nil
}

// all reads the view of every broker that answers, and of the controllers. It fails if no
// broker answers, or if a necessary request fails.
func (c *cluster) all(ctx context.Context) (view, error) {
	ids, err := c.brokers(ctx)
	if err != nil {
		return view{}, err
	}
	var (
		v    view
		mu   sync.Mutex
		wait sync.WaitGroup
	)
	for _, id := range ids {
		wait.Go(func() {
			a, err := c.ask(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				v.silent = append(v.silent, id)
				return
			}
			v.answers = append(v.answers, a)
		})
	}
	wait.Wait()
	if len(v.answers) == 0 {
		return view{}, errors.New("no broker answers")
	}
	slices.SortFunc(v.answers, func(a, b answer) int { return int(a.from - b.from) })
	if err := c.complete(ctx, &v); err != nil {
		return view{}, err
	}
	v.quorum, err = c.quorum(ctx)
	return v, err
}

// brokers returns those that any broker knows of. From then on the client knows them
// too.
func (c *cluster) brokers(ctx context.Context) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // no topic; nil would request all
	md, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("requesting metadata from any broker: %w", err)
	}
	var ids []int32
	for _, b := range md.Brokers {
		ids = append(ids, b.NodeID)
	}
	return ids, nil
}

// ask reads one broker's view, without min.insync.replicas and reassignments.
func (c *cluster) ask(ctx context.Context, id int32) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	md, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client.Broker(int(id)))
	if err != nil {
		return answer{}, fmt.Errorf("requesting metadata from broker %d: %w", id, err)
	}
	a := answer{from: id}
	for _, b := range md.Brokers {
		a.brokers = append(a.brokers, b.NodeID)
	}
	for _, t := range md.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil || t.Topic == nil {
			return answer{}, fmt.Errorf("requesting metadata of topic %q from broker %d: %w", deref(t.Topic), id, err)
		}
		for _, p := range t.Partitions {
			a.partitions = append(a.partitions, partition{topic: *t.Topic, number: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR})
		}
	}
	return a, nil
}

// complete adds what metadata doesn't contain.
func (c *cluster) complete(ctx context.Context, v *view) error {
	var topics []string
	for _, a := range v.answers {
		for _, p := range a.partitions {
			topics = append(topics, p.topic)
		}
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if len(topics) == 0 {
		return nil
	}
	minISR, err := c.minInSync(ctx, topics)
	if err != nil {
		return err
	}
	adding, err := c.reassignments(ctx)
	if err != nil {
		return err
	}
	for _, a := range v.answers {
		for i := range a.partitions {
			p := &a.partitions[i]
			p.minISR, p.adding = minISR[p.topic], adding[place{p.topic, p.number}]
		}
	}
	return nil
}

const minInSyncReplicas = "min.insync.replicas"

func (c *cluster) minInSync(ctx context.Context, topics []string) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{minInSyncReplicas}
		request.Resources = append(request.Resources, resource)
	}
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("requesting the topics' %s: %w", minInSyncReplicas, err)
	}
	values := map[string]int{}
	for _, r := range response.Resources {
		if errors.Is(kerr.ErrorForCode(r.ErrorCode), kerr.UnknownTopicOrPartition) {
			continue // deleted meanwhile
		}
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("requesting the %s of topic %q: %w", minInSyncReplicas, r.ResourceName, err)
		}
		for _, entry := range r.Configs {
			if values[r.ResourceName], err = strconv.Atoi(deref(entry.Value)); err != nil {
				return nil, fmt.Errorf("reading the %s of topic %q: %w", minInSyncReplicas, r.ResourceName, err)
			}
		}
	}
	return values, nil
}

// place identifies a partition.
type place struct {
	topic  string
	number int32
}

// reassignments returns the replicas that are being added, by partition.
func (c *cluster) reassignments(ctx context.Context) (map[place][]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("requesting the current reassignments: %w", err)
	}
	adding := map[place][]int32{}
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			adding[place{t.Topic, p.Partition}] = p.AddingReplicas
		}
	}
	return adding, nil
}

// quorum asks the active controller, through any broker.
func (c *cluster) quorum(ctx context.Context) (quorum, error) {
	p, err := c.describeQuorum(ctx)
	if err != nil {
		return quorum{}, err
	}
	q := quorum{leader: p.LeaderID}
	for _, v := range p.CurrentVoters {
		known := voter{id: v.ReplicaID}
		switch {
		case v.LastCaughtUpTimestamp >= 0:
			known.caughtUp = time.UnixMilli(v.LastCaughtUpTimestamp)
		case v.ReplicaID == p.LeaderID: // older leaders don't report it for themselves
			known.caughtUp = time.Now()
		}
		q.voters = append(q.voters, known)
	}
	return q, nil
}

func (c *cluster) describeQuorum(ctx context.Context) (kmsg.DescribeQuorumResponseTopicPartition, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var p kmsg.DescribeQuorumResponseTopicPartition
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return p, fmt.Errorf("requesting the state of the quorum: %w", err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return p, errors.New("requesting the state of the quorum: the response is empty")
	}
	p = response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return p, fmt.Errorf("requesting the state of the quorum: %w", err)
	}
	return p, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
