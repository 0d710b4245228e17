package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// grants is what the stack allows one user.
type grants struct {
	User   string
	Grants []struct {
		Topic, Group, TransactionalID string
		Cluster, Prefixed             bool
		Operations                    []string
	}
}

// may reports whether an operation is granted, directly or because another one implies it.
func (g grants) may(operation, kind, name string) bool {
	implying := map[string][]string{
		"Describe":        {"Read", "Write", "Delete", "Alter"},
		"DescribeConfigs": {"AlterConfigs"},
	}[operation]
	for _, grant := range g.Grants {
		granted := map[string]string{"topic": grant.Topic, "group": grant.Group, "transactional id": grant.TransactionalID, "cluster": ""}[kind]
		matches := granted == name || granted == "*" || grant.Prefixed && granted != "" && strings.HasPrefix(name, granted)
		if kind == "cluster" {
			matches = grant.Cluster
		}
		if matches && slices.ContainsFunc(grant.Operations, func(o string) bool { return o == operation || slices.Contains(implying, o) }) {
			return true
		}
	}
	return false
}

// attempt tries an operation and returns the broker's verdict. None of them changes
// anything if it is allowed: they are malformed, or only validated.
type attempt struct {
	kind, operation string
	do              func(ctx context.Context, broker *kgo.Broker, name string) (int16, error)
}

// attempts has every operation of Kafka that can be granted, except those on quotas,
// delegation tokens and users, which no user needs either: they require Alter and
// Describe on the cluster.
func attempts() []attempt {
	return []attempt{
		{"topic", "Read", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			partition := kmsg.NewFetchRequestTopicPartition()
			request := kmsg.NewPtrFetchRequest()
			request.MaxWaitMillis = 1
			request.Topics = []kmsg.FetchRequestTopic{{Topic: name, Partitions: []kmsg.FetchRequestTopicPartition{partition}}}
			response, err := send[*kmsg.FetchResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].Partitions[0].ErrorCode, nil
		}},
		{"topic", "Write", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrProduceRequest()
			request.Acks, request.TimeoutMillis = -1, 1000
			request.Topics = []kmsg.ProduceRequestTopic{{Topic: name, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: corrupt()}}}}
			response, err := send[*kmsg.ProduceResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].Partitions[0].ErrorCode, nil
		}},
		{"topic", "Create", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrCreateTopicsRequest()
			request.ValidateOnly = true
			request.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}
			response, err := send[*kmsg.CreateTopicsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].ErrorCode, nil
		}},
		{"topic", "Alter", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrCreatePartitionsRequest()
			request.ValidateOnly = true
			request.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 1000}}
			response, err := send[*kmsg.CreatePartitionsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].ErrorCode, nil
		}},
		{"topic", "Describe", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrMetadataRequest()
			request.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
			response, err := send[*kmsg.MetadataResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].ErrorCode, nil
		}},
		{"topic", "DescribeConfigs", describeConfigs(kmsg.ConfigResourceTypeTopic)},
		{"topic", "AlterConfigs", alterConfigs(kmsg.ConfigResourceTypeTopic, "retention.ms", "1000")},
		{"topic", "Delete", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			// By offset: below one that no log reaches.
			request := kmsg.NewPtrDeleteRecordsRequest()
			request.TimeoutMillis = 1000
			request.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 1 << 40}}}}
			response, err := send[*kmsg.DeleteRecordsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].Partitions[0].ErrorCode, nil
		}},
		{"group", "Read", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrHeartbeatRequest()
			request.Group, request.MemberID, request.Generation = name, "nobody", 1
			response, err := send[*kmsg.HeartbeatResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.ErrorCode, nil
		}},
		{"group", "Describe", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrDescribeGroupsRequest()
			request.Groups = []string{name}
			response, err := send[*kmsg.DescribeGroupsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Groups[0].ErrorCode, nil
		}},
		{"group", "Delete", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			// Offsets of a topic that doesn't exist, not of the whole group.
			request := kmsg.NewPtrOffsetDeleteRequest()
			request.Group = name
			request.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "nowhere", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
			response, err := send[*kmsg.OffsetDeleteResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.ErrorCode, nil
		}},
		{"transactional id", "Write", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrEndTxnRequest()
			request.TransactionalID, request.ProducerID, request.ProducerEpoch = name, 1<<40, 0
			response, err := send[*kmsg.EndTxnResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.ErrorCode, nil
		}},
		{"transactional id", "Describe", func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
			request := kmsg.NewPtrDescribeTransactionsRequest()
			request.TransactionalIDs = []string{name}
			response, err := send[*kmsg.DescribeTransactionsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.TransactionStates[0].ErrorCode, nil
		}},
		{"cluster", "Describe", func(ctx context.Context, b *kgo.Broker, _ string) (int16, error) {
			request := kmsg.NewPtrDescribeACLsRequest()
			request.ResourceType, request.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			request.Operation, request.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			response, err := send[*kmsg.DescribeACLsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.ErrorCode, nil
		}},
		{"cluster", "Alter", func(ctx context.Context, b *kgo.Broker, _ string) (int16, error) {
			filter := kmsg.NewDeleteACLsRequestFilter()
			filter.ResourceType, filter.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			filter.Operation, filter.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			filter.Principal = kmsg.StringPtr("User:nobody")
			request := kmsg.NewPtrDeleteACLsRequest()
			request.Filters = []kmsg.DeleteACLsRequestFilter{filter}
			response, err := send[*kmsg.DeleteACLsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Results[0].ErrorCode, nil
		}},
		{"cluster", "Create", func(ctx context.Context, b *kgo.Broker, _ string) (int16, error) {
			request := kmsg.NewPtrCreateTopicsRequest()
			request.ValidateOnly = true
			request.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "of-nobody", NumPartitions: 1, ReplicationFactor: 1}}
			response, err := send[*kmsg.CreateTopicsResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Topics[0].ErrorCode, nil
		}},
		{"cluster", "ClusterAction", func(ctx context.Context, b *kgo.Broker, _ string) (int16, error) {
			request := kmsg.NewPtrWriteTxnMarkersRequest()
			request.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 1 << 40, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "nowhere", Partitions: []int32{0}}}}}
			response, err := send[*kmsg.WriteTxnMarkersResponse](ctx, b, request)
			if err != nil {
				return 0, err
			}
			return response.Markers[0].Topics[0].Partitions[0].ErrorCode, nil
		}},
		{"cluster", "DescribeConfigs", describeConfigs(kmsg.ConfigResourceTypeBroker)},
		{"cluster", "AlterConfigs", alterConfigs(kmsg.ConfigResourceTypeBroker, "log.cleaner.threads", "1")},
	}
}

func describeConfigs(kind kmsg.ConfigResourceType) func(context.Context, *kgo.Broker, string) (int16, error) {
	return func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
		request := kmsg.NewPtrDescribeConfigsRequest()
		request.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}
		response, err := send[*kmsg.DescribeConfigsResponse](ctx, b, request)
		if err != nil {
			return 0, err
		}
		return response.Resources[0].ErrorCode, nil
	}
}

func alterConfigs(kind kmsg.ConfigResourceType, key, value string) func(context.Context, *kgo.Broker, string) (int16, error) {
	return func(ctx context.Context, b *kgo.Broker, name string) (int16, error) {
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.ValidateOnly = true
		request.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}}}
		response, err := send[*kmsg.IncrementalAlterConfigsResponse](ctx, b, request)
		if err != nil {
			return 0, err
		}
		return response.Resources[0].ErrorCode, nil
	}
}

func send[R kmsg.Response](ctx context.Context, b *kgo.Broker, request kmsg.Request) (R, error) {
	var none R
	response, err := b.RetriableRequest(ctx, request)
	if err != nil {
		return none, fmt.Errorf("sending %s: %w", kmsg.NameForKey(request.Key()), err)
	}
	typed, ok := response.(R)
	if !ok {
		return none, fmt.Errorf("sending %s: the response is a %T", kmsg.NameForKey(request.Key()), response)
	}
	return typed, nil
}

// corrupt is a batch that no broker accepts.
func corrupt() []byte {
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Length: 49, NumRecords: 1, Records: nil}
	return batch.AppendTo(nil)
}

// refused are the errors of the authorizer.
func refused(code int16) bool {
	return slices.ContainsFunc([]*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	}, func(refusal *kerr.Error) bool { return code == refusal.Code })
}

// Every user tries every operation on every resource. What is granted is allowed, and
// everything else is refused.
func (s *secured) testAccess(t *testing.T) {
	env, err := s.environ("Job", "topics")
	must(t, err)
	var users []grants
	must(t, json.Unmarshal([]byte(env["ACLS"]), &users))
	var topics []struct{ Name string }
	must(t, json.Unmarshal([]byte(env["TOPICS"]), &topics))

	names := map[string][]string{
		"topic":            {"of-nobody", "__consumer_offsets"},
		"group":            {"of-nobody"},
		"transactional id": {"of-nobody", "consumer-service-group", "consumer-service-group-0"},
		"cluster":          {"0"},
	}
	for _, topic := range topics {
		names["topic"] = append(names["topic"], topic.Name)
	}
	for _, user := range users {
		for _, grant := range user.Grants {
			if name := grant.Group; name != "" && name != "*" && !slices.Contains(names["group"], name) {
				names["group"] = append(names["group"], name)
			}
		}
	}

	let, denied := 0, 0
	for _, user := range users {
		if user.User == "*" {
			continue
		}
		// Topics by name, not by id: only users that may describe a topic know its id.
		client, err := kgo.NewClient(append(s.secrets.As(user.User), kgo.SeedBrokers(s.brokers.Address(0)), kgo.MaxVersions(kversion.V3_0_0()))...)
		must(t, err)
		defer client.Close()
		for _, a := range attempts() {
			for _, name := range names[a.kind] {
				code, err := a.do(t.Context(), client.Broker(0), name)
				if err != nil {
					t.Errorf("%s: %s on %s %q: %v", user.User, a.operation, a.kind, name, err)
					continue
				}
				want := user.may(a.operation, a.kind, name)
				if want {
					let++
				} else {
					denied++
				}
				if want == refused(code) {
					t.Errorf("%s: %s on %s %q: granted %v, the broker says %v", user.User, a.operation, a.kind, name, want, kerr.ErrorForCode(code))
				}
			}
		}
	}
	t.Logf("%d operations were let, %d refused", let, denied)
	if let == 0 || denied == 0 {
		t.Error("nothing was tried")
	}
}
