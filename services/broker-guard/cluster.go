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

// requestTimeout bounds one request, so that a broker that hangs holds up
// nothing else.
const requestTimeout = 3 * time.Second

// cluster looks at Kafka.
type cluster struct{ client *kgo.Client }

func connect(cfg config) (*cluster, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(strings.ReplaceAll(cfg.Servers, " ", ""), ",")...),
		kgo.ClientID("broker-guard"),
		kgo.DialTimeout(requestTimeout),
		kgo.RetryTimeout(requestTimeout),
	}
	if cfg.CAFile != "" {
		secured, err := tlsConfig(cfg.CAFile, cfg.Key)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(secured))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("creating the client: %w", err)
	}
	return &cluster{client: client}, nil
}

func tlsConfig(authorityFile, keyFile string) (*tls.Config, error) {
	authority, err := os.ReadFile(authorityFile)
	if err != nil {
		return nil, fmt.Errorf("reading KAFKA_TLS_CA_FILE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("reading KAFKA_TLS_CA_FILE: %s has no certificate", authorityFile)
	}
	pair, err := tls.LoadX509KeyPair(keyFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading KAFKA_TLS_KEY_FILE: %w", err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (c *cluster) close() { c.client.Close() }

// own asks a broker about itself. Only where a replica of its own is behind are
// the controllers asked, too, whether it is one that is being moved there: so a
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

// all asks every broker that answers, and the controllers. It is an error when
// none does, or when a question that needs an answer gets none.
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

// brokers are those that some broker knows of; the client knows them, too, from
// then on.
func (c *cluster) brokers(ctx context.Context) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none; nil is all of them
	md, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("asking any broker: %w", err)
	}
	var ids []int32
	for _, b := range md.Brokers {
		ids = append(ids, b.NodeID)
	}
	return ids, nil
}

// ask reads one broker's answer; min.insync.replicas and reassignments are
// still to be filled in.
func (c *cluster) ask(ctx context.Context, id int32) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	md, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client.Broker(int(id)))
	if err != nil {
		return answer{}, fmt.Errorf("asking broker %d for its metadata: %w", id, err)
	}
	a := answer{from: id}
	for _, b := range md.Brokers {
		a.brokers = append(a.brokers, b.NodeID)
	}
	for _, t := range md.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil || t.Topic == nil {
			return answer{}, fmt.Errorf("asking broker %d for topic %q: %w", id, deref(t.Topic), err)
		}
		for _, p := range t.Partitions {
			a.partitions = append(a.partitions, partition{topic: *t.Topic, number: p.Partition, replicas: p.Replicas, isr: p.ISR})
		}
	}
	return a, nil
}

// complete adds what the metadata don't say.
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
		return nil, fmt.Errorf("asking for the topics' %s: %w", minInSyncReplicas, err)
	}
	values := map[string]int{}
	for _, r := range response.Resources {
		if errors.Is(kerr.ErrorForCode(r.ErrorCode), kerr.UnknownTopicOrPartition) {
			continue // deleted meanwhile
		}
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("asking for the %s of topic %q: %w", minInSyncReplicas, r.ResourceName, err)
		}
		for _, entry := range r.Configs {
			if values[r.ResourceName], err = strconv.Atoi(deref(entry.Value)); err != nil {
				return nil, fmt.Errorf("reading the %s of topic %q: %w", minInSyncReplicas, r.ResourceName, err)
			}
		}
	}
	return values, nil
}

// place names a partition.
type place struct {
	topic  string
	number int32
}

// reassignments are the replicas that are being added, by partition.
func (c *cluster) reassignments(ctx context.Context) (map[place][]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("asking for reassignments under way: %w", err)
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return quorum{}, fmt.Errorf("asking the controllers: %w", err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return quorum{}, errors.New("asking the controllers: the answer is empty")
	}
	p := response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return quorum{}, fmt.Errorf("asking the controllers: %w", err)
	}
	q := quorum{leader: p.LeaderID}
	for _, v := range p.CurrentVoters {
		known := voter{id: v.ReplicaID}
		switch {
		case v.LastCaughtUpTimestamp >= 0:
			known.caughtUp = time.UnixMilli(v.LastCaughtUpTimestamp)
		case v.ReplicaID == p.LeaderID: // older leaders don't say it of themselves
			known.caughtUp = time.Now()
		}
		q.voters = append(q.voters, known)
	}
	return q, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
