package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

// authorizing runs the program with an access list, and returns the outcome for each user.
func authorizing(t *testing.T, servers, access string) (map[string]string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), nil, []string{
		"KAFKA_BOOTSTRAP_SERVERS=" + servers, "TIMEOUT=20s", "ACLS=" + access,
		`TOPICS=[{"name":"` + brokertest.Unique("orders") + `","partitions":1,"replicationFactor":1}]`,
	}, &out)
	outcomes := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var entry struct {
			Msg, User, Outcome string
			Granted            int
			TakenAway          int `json:"taken_away"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "user" {
			outcomes[entry.User] = fmt.Sprintf("%s +%d -%d", entry.Outcome, entry.Granted, entry.TakenAway)
		}
	}
	return outcomes, err
}

// accessList returns the brokers' grants for a user, read through another client.
func accessList(t *testing.T, k *brokertest.Kafka, user string) []string {
	t.Helper()
	described, err := k.Admin().DescribeACLs(t.Context(), kadm.NewACLs().AnyResource().ResourcePatternType(kadm.ACLPatternAny).
		Allow("User:"+user).AllowHosts().Deny("User:"+user).DenyHosts().Operations(kadm.OpAny))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, group := range described {
		for _, a := range group.Described {
			line := fmt.Sprintf("%s %s %s %s", a.Permission, a.Operation, a.Type, a.Name)
			if a.Pattern == kmsg.ACLResourcePatternTypePrefixed {
				line += "…"
			}
			if !slices.Contains(lines, line) { // it is requested twice
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func embeddedOrSkip(t *testing.T) *brokertest.Kafka {
	t.Helper()
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("these brokers have no access list; services/dev/reliability tests secured ones")
	}
	return k
}

func TestTheAccessListFollowsItsDeclaration(t *testing.T) {
	k := embeddedOrSkip(t)
	stranger := kadm.NewACLs().Topics("orders").ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:stranger").AllowHosts("*").Operations(kadm.OpRead)
	if _, err := k.Admin().CreateACLs(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name, access string
		outcome      string // of a
		holds        string // by a
	}{
		{"what is missing is granted",
			`[{"user":"a","grants":[{"topic":"orders","operations":["Read","Describe"]},{"group":"g","operations":["Read"]},{"transactionalId":"t-","prefixed":true,"operations":["Write"]},{"cluster":true,"operations":["Describe"]}]}]`,
			"changed +5 -0", "[ALLOW DESCRIBE CLUSTER kafka-cluster ALLOW DESCRIBE TOPIC orders ALLOW READ GROUP g ALLOW READ TOPIC orders ALLOW WRITE TRANSACTIONAL_ID t-…]"},
		{"a second run changes nothing",
			`[{"user":"a","grants":[{"cluster":true,"operations":["Describe"]},{"topic":"orders","operations":["Describe","Read"]},{"group":"g","operations":["Read"]},{"transactionalId":"t-","prefixed":true,"operations":["Write"]}]}]`,
			"unchanged +0 -0", "[ALLOW DESCRIBE CLUSTER kafka-cluster ALLOW DESCRIBE TOPIC orders ALLOW READ GROUP g ALLOW READ TOPIC orders ALLOW WRITE TRANSACTIONAL_ID t-…]"},
		{"what is no longer declared is taken away",
			`[{"user":"a","grants":[{"topic":"orders","operations":["Read"]},{"topic":"totals","operations":["Write"]}]}]`,
			"changed +1 -4", "[ALLOW READ TOPIC orders ALLOW WRITE TOPIC totals]"},
		{"without a list everything stays", ``, "", "[ALLOW READ TOPIC orders ALLOW WRITE TOPIC totals]"},
		{"another user's list leaves it alone", `[{"user":"b","grants":[{"group":"g","operations":["Read"]}]}]`, "", "[ALLOW READ TOPIC orders ALLOW WRITE TOPIC totals]"},
		{"a user without grants may do nothing", `[{"user":"a","grants":[]},{"user":"b","grants":[{"group":"g","operations":["Read"]}]}]`, "changed +0 -2", "[]"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			outcomes, err := authorizing(t, k.BootstrapServers, step.access)
			if err != nil {
				t.Fatal(err)
			}
			if outcomes["a"] != step.outcome {
				t.Errorf("outcome = %q, want %q", outcomes["a"], step.outcome)
			}
			if got := fmt.Sprint(accessList(t, k, "a")); got != step.holds {
				t.Errorf("a holds %s\nwant    %s", got, step.holds)
			}
			if got := fmt.Sprint(accessList(t, k, "stranger")); got != "[ALLOW READ TOPIC orders]" {
				t.Errorf("who isn't listed holds %s", got)
			}
		})
	}
}

func TestARefusedAccessListSaysWhatToDo(t *testing.T) {
	k := embeddedOrSkip(t)
	for code, want := range map[*kerr.Error]string{
		kerr.SecurityDisabled:           "the brokers have no authorizer",
		kerr.ClusterAuthorizationFailed: "must be a super user",
	} {
		k.Embedded.Cluster.ControlKey(int16(kmsg.CreateACLs), func(r kmsg.Request) (kmsg.Response, error, bool) {
			response := r.ResponseKind().(*kmsg.CreateACLsResponse)
			result := kmsg.NewCreateACLsResponseResult()
			result.ErrorCode = code.Code
			response.Results = append(response.Results, result)
			return response, nil, true
		})
		outcomes, err := authorizing(t, k.BootstrapServers, `[{"user":"a","grants":[{"group":"g","operations":["Read"]}]}]`)
		if err == nil || !strings.Contains(err.Error(), want) || len(outcomes) > 0 {
			t.Errorf("%s: outcomes = %v, err = %v", code.Message, outcomes, err)
		}
	}
}

func TestAnAccessListWithFaultsChangesNothing(t *testing.T) {
	_, err := authorizing(t, "127.0.0.1:1", `[{"user":"a","grants":[{"topic":"t","operations":["Raed"]}]}]`)
	if err == nil || !strings.Contains(err.Error(), `ACLS: user "a": grant 1: operation "Raed"`) {
		t.Errorf("err = %v", err)
	}
}
