package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// user is one user of the declared access list, with all of its grants. A listed
// user is managed: grants beyond the list are revoked. The grants of users that
// aren't listed stay as they are.
type user struct {
	name  string
	allow []kafka.ACLBinding
}

// everyone as a username stands for all users, listed or not.
const everyone = "*"

// binding is one line of the brokers' own access list.
func binding(user string, on resource, operation kafka.ACLOperation) kafka.ACLBinding {
	return kafka.ACLBinding{
		Type: on.kind, Name: on.name, ResourcePatternType: on.pattern,
		Principal: "User:" + user, Host: "*",
		Operation: operation, PermissionType: kafka.ACLPermissionTypeAllow,
	}
}

// resource is what an operation acts on.
type resource struct {
	kind    kafka.ResourceType
	name    string
	pattern kafka.ResourcePatternType
}

const (
	// transactionalID is missing from the client's resource types.
	transactionalID kafka.ResourceType = 5
	theCluster                         = "kafka-cluster" // as the brokers call it
)

// operations are Kafka's operations on each type of resource, by their usual names.
func operations() map[kafka.ResourceType]map[string]kafka.ACLOperation {
	all := map[string]kafka.ACLOperation{
		"All": kafka.ACLOperationAll, "Read": kafka.ACLOperationRead, "Write": kafka.ACLOperationWrite, "Create": kafka.ACLOperationCreate,
		"Delete": kafka.ACLOperationDelete, "Alter": kafka.ACLOperationAlter, "Describe": kafka.ACLOperationDescribe,
		"DescribeConfigs": kafka.ACLOperationDescribeConfigs, "AlterConfigs": kafka.ACLOperationAlterConfigs,
		"ClusterAction": kafka.ACLOperationClusterAction, "IdempotentWrite": kafka.ACLOperationIdempotentWrite,
	}
	only := func(names ...string) map[string]kafka.ACLOperation {
		some := map[string]kafka.ACLOperation{}
		for _, name := range append(names, "All") {
			some[name] = all[name]
		}
		return some
	}
	return map[kafka.ResourceType]map[string]kafka.ACLOperation{
		kafka.ResourceTopic:  only("Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"),
		kafka.ResourceGroup:  only("Read", "Delete", "Describe", "DescribeConfigs", "AlterConfigs"),
		transactionalID:      only("Write", "Describe"),
		kafka.ResourceBroker: only("Create", "Alter", "Describe", "DescribeConfigs", "AlterConfigs", "ClusterAction", "IdempotentWrite"),
	}
}

// parseAccess reads an access list strictly. An empty text declares none, and leaves
// the brokers' list unchanged. The error has every fault of every user.
func parseAccess(text string) ([]user, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var entries []json.RawMessage
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return nil, fmt.Errorf("is not a JSON list of users: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("lists no user: leave it empty to keep the brokers' access list unchanged")
	}
	var (
		users  []user
		faults []error
	)
	seen := map[string]bool{}
	grants := 0
	for i, entry := range entries {
		u, errs := parseUser(entry)
		grants += len(u.allow)
		where := fmt.Sprintf("user %q", u.name)
		if u.name == "" {
			where = fmt.Sprintf("entry %d", i+1)
		} else if seen[u.name] {
			errs = append(errs, errors.New("is listed twice"))
		}
		seen[u.name] = true
		for _, err := range errs {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
		}
		users = append(users, u)
	}
	if grants == 0 && len(faults) == 0 {
		return nil, errors.New("grants nothing to any user, so that no service could work: grant something, or leave it empty")
	}
	return users, errors.Join(faults...)
}

func parseUser(entry json.RawMessage) (user, []error) {
	var u user
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	members, err := parseObject(entry)
	if err != nil {
		return u, []error{err}
	}
	given := map[string]bool{}
	var grants []json.RawMessage
	for _, m := range members {
		if given[m.name] {
			fault("%s is given twice", m.name)
		}
		given[m.name] = true
		switch m.name {
		case "user":
			if json.Unmarshal(m.value, &u.name) != nil {
				fault("user must be a string")
			} else if name, typed := strings.CutPrefix(u.name, "User:"); typed || name == "" {
				fault("user %q must be a username without a type such as User:", u.name)
			}
		case "grants":
			if json.Unmarshal(m.value, &grants) != nil || grants == nil {
				fault("grants must be a list, empty for none, not %s", m.value)
			}
		default:
			fault("unknown field %q (known: user, grants)", m.name)
		}
	}
	for _, required := range []string{"user", "grants"} {
		if !given[required] {
			fault("%s is required", required)
		}
	}
	seen := map[kafka.ACLBinding]bool{}
	for i, raw := range grants {
		on, operations, errs := parseGrant(raw)
		for _, err := range errs {
			fault("grant %d: %w", i+1, err)
		}
		for _, operation := range operations {
			b := binding(u.name, on, operation)
			if seen[b] {
				fault("grant %d: an operation on %q is granted twice", i+1, on.name)
			}
			seen[b] = true
			u.allow = append(u.allow, b)
		}
	}
	return u, faults
}

// parseGrant reads the operations on one resource.
func parseGrant(raw json.RawMessage) (resource, []kafka.ACLOperation, []error) {
	var (
		on     = resource{pattern: kafka.ResourcePatternTypeLiteral}
		names  []string
		faults []error
	)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	members, err := parseObject(raw)
	if err != nil {
		return on, nil, []error{err}
	}
	kinds := map[string]kafka.ResourceType{
		"topic": kafka.ResourceTopic, "group": kafka.ResourceGroup, "transactionalId": transactionalID, "cluster": kafka.ResourceBroker,
	}
	resources := 0
	for _, m := range members {
		switch m.name {
		case "topic", "group", "transactionalId":
			resources++
			on.kind = kinds[m.name]
			if json.Unmarshal(m.value, &on.name) != nil || on.name == "" {
				fault("%s must be a name in quotes, or \"*\" for all, not %s", m.name, m.value)
			}
		case "cluster":
			resources++
			on.kind, on.name = kafka.ResourceBroker, theCluster
			if string(m.value) != "true" {
				fault("cluster must be true, not %s", m.value)
			}
		case "prefixed":
			var prefixed bool
			if json.Unmarshal(m.value, &prefixed) != nil {
				fault("prefixed must be true or false, not %s", m.value)
			}
			if prefixed {
				on.pattern = kafka.ResourcePatternTypePrefixed
			}
		case "operations":
			if json.Unmarshal(m.value, &names) != nil || len(names) == 0 {
				fault("operations must be a list of at least one, not %s", m.value)
			}
		default:
			fault("unknown field %q (known: topic, group, transactionalId, cluster, prefixed, operations)", m.name)
		}
	}
	if resources != 1 {
		fault("names %d resources: it needs one of topic, group, transactionalId and cluster", resources)
	}
	if on.pattern == kafka.ResourcePatternTypePrefixed && (on.name == "*" || on.kind == kafka.ResourceBroker) {
		fault("prefixed needs the beginning of a name, not %q", on.name)
	}
	if names == nil && len(faults) == 0 {
		fault("operations is required")
	}
	known := operations()[on.kind]
	var wanted []kafka.ACLOperation
	for _, name := range names {
		operation, ok := known[name]
		if !ok && on.kind != kafka.ResourceUnknown {
			fault("operation %q does not exist for this resource: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		wanted = append(wanted, operation)
	}
	return on, wanted, faults
}
