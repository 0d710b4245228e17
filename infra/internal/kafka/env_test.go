package kafka

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/pod"
)

func testArgs(topology Topology) ClusterArgs {
	return ClusterArgs{
		Namespace:     &namespace.Namespace{Name: "data"},
		ClusterDomain: "cluster.local",
		Topology:      topology,
		ClusterID:     ClusterID("shop", "test"),
		Heap:          resource.MustParse("512Mi"),
		Zones:         true,
	}
}

func lookup(env []pod.Env, name string) string {
	for _, e := range env {
		if e.Name == name {
			return e.Value + e.Field
		}
	}
	return ""
}

// TestSettingsAreKnownToKafka is needed because Kafka accepts any setting, and ignores unknown ones.
func TestSettingsAreKnownToKafka(t *testing.T) {
	data, err := os.ReadFile("testdata/broker-settings-4.3.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := append(strings.Fields(string(data)),
		// The authorizer reads these two, not the broker.
		"super.users", "allow.everyone.if.no.acl.found")
	for _, topology := range []Topology{{Brokers: 1}, {Brokers: 3}, {Brokers: 4, Controllers: 3}} {
		args := testArgs(topology)
		args.Security = Security{Enabled: true, Users: []string{"web-server", Admin}}
		for _, p := range topology.pools() {
			for _, e := range args.environment(p) {
				if slices.Contains([]string{"KAFKA_HEAP_OPTS", "KAFKA_OPTS"}, e.Name) || !strings.HasPrefix(e.Name, "KAFKA_") {
					continue
				}
				if setting := settingOf(e.Name); !slices.Contains(known, setting) {
					t.Errorf("%s is the setting %q, which Kafka does not know", e.Name, setting)
				}
			}
		}
	}
}

// settingOf converts a variable to a setting as the image does: one underscore is a dot, two are one, three are a dash.
func settingOf(variable string) string {
	name := strings.ToLower(strings.TrimPrefix(variable, "KAFKA_"))
	setting := strings.NewReplacer("___", "-", "__", "_", "_", ".").Replace(name)
	// A setting can be specific to a listener, and to one of its mechanisms.
	for _, prefix := range []string{"listener.name.client.plain.", "listener.name.internal.", "listener.name.controller."} {
		setting = strings.TrimPrefix(setting, prefix)
	}
	return setting
}

func TestSecureEnvironment(t *testing.T) {
	args := testArgs(Topology{Brokers: 3})
	args.Security = Security{Enabled: true, Users: []string{"web-server", Admin}}
	env := args.environment(args.Topology.pools()[0])
	for name, want := range map[string]string{
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL",
		"KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG": "org.apache.kafka.common.security.plain.PlainLoginModule required" +
			` user_web-server="$(PASSWORD_WEB_SERVER)" user_admin="$(PASSWORD_ADMIN)";`,
		"KAFKA_SUPER_USERS":                    "User:CN=kafka;User:admin",
		"KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND": "false",
	} {
		if got := lookup(env, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// The image would look for Java key stores.
	if got := lookup(env, "KAFKA_ADVERTISED_LISTENERS"); strings.Contains(got, "SSL://") {
		t.Errorf("advertised listeners %q", got)
	}
	positions := map[string]int{}
	for i, e := range env {
		positions[e.Name] = i
	}
	for _, user := range args.Security.Users {
		variable := passwordVariable(user)
		if at, ok := positions[variable]; !ok || at > positions["KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG"] {
			t.Errorf("%s stands after what refers to it", variable)
		}
		if env[positions[variable]].Secret != CredentialsSecret {
			t.Errorf("%s does not come from the Secret", variable)
		}
	}
}

func TestTheAccessListNamesEveryUserAndEveryone(t *testing.T) {
	env, err := TopicsArgs{Users: []string{"a", "b"}, Grants: []Grant{
		{User: "a", Operations: []string{"Read", "Describe"}, Topic: "t"},
		{User: "a", Operations: []string{"Write"}, TransactionalID: "x-", Prefixed: true},
		{User: "a", Operations: []string{"Describe"}, Cluster: true},
	}}.Environment()
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"user":"a","grants":[{"operations":["Read","Describe"],"topic":"t"},` +
		`{"operations":["Write"],"transactionalId":"x-","prefixed":true},{"operations":["Describe"],"cluster":true}]},` +
		`{"user":"b","grants":[]},{"user":"*","grants":[]}]`
	if got := lookup(env, "ACLS"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEnvironmentOfCombinedNodes(t *testing.T) {
	topology := Topology{Brokers: 3}
	env := testArgs(topology).environment(topology.pools()[0])
	for name, want := range map[string]string{
		"KAFKA_NODE_ID":                        "$(POD_INDEX)",
		"KAFKA_PROCESS_ROLES":                  "broker,controller",
		"KAFKA_LISTENERS":                      "CLIENT://:9092,INTERNAL://:9094,CONTROLLER://:9093",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_ADVERTISED_LISTENERS": "CLIENT://$(POD_NAME).kafka-nodes.data.svc.cluster.local:9092," +
			"INTERNAL://$(POD_NAME).kafka-nodes.data.svc.cluster.local:9094",
		"KAFKA_CONTROLLER_QUORUM_VOTERS": "0@kafka-0.kafka-nodes.data.svc.cluster.local:9093," +
			"1@kafka-1.kafka-nodes.data.svc.cluster.local:9093,2@kafka-2.kafka-nodes.data.svc.cluster.local:9093",
		"KAFKA_MIN_INSYNC_REPLICAS": "2",
		"KAFKA_HEAP_OPTS":           "-Xms512m -Xmx512m",
		"KAFKA_OPTS":                "-Dsun.net.inetaddr.ttl=1 -XX:TieredStopAtLevel=1",
		"KAFKA_BROKER_RACK":         "metadata.labels['topology.kubernetes.io/zone']",
	} {
		if got := lookup(env, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestABrokerHasAsManyThreadsAsItMayUseCPUs(t *testing.T) {
	for limit, want := range map[string][2]int{"500m": {1, 2}, "2": {1, 2}, "2500m": {2, 3}, "4": {2, 4}, "16": {3, 8}} {
		if network, io := threads(resource.MustParse(limit)); network != want[0] || io != want[1] {
			t.Errorf("with %s CPUs: %d network threads and %d for requests, want %v", limit, network, io, want)
		}
	}
}

// TestSmallNodesDoWithoutJavasSecondCompiler, which needs more than the memory that their containers have besides the heap.
func TestSmallNodesDoWithoutJavasSecondCompiler(t *testing.T) {
	for heap, without := range map[string]bool{"256Mi": true, "1023Mi": true, "1Gi": false, "3Gi": false} {
		if got := strings.Contains(javaOptions(resource.MustParse(heap)), "-XX:TieredStopAtLevel=1"); got != without {
			t.Errorf("with a heap of %s, the first compiler alone: %t, want %t", heap, got, without)
		}
	}
}

// TestMoreBrokersDontChangeTheOthers: a running node with other voters would be lost to its quorum.
func TestMoreBrokersDontChangeTheOthers(t *testing.T) {
	declared := func(topology Topology) string {
		args, p := testArgs(topology), topology.pools()[0]
		return fmt.Sprint(args.environment(p), args.guardEnvironment(p), args.command(p))
	}
	for _, topology := range []Topology{{Brokers: 1, Voters: 1}, {Brokers: 3}, {Brokers: 5, Voters: 5}, {Brokers: 3, Controllers: 3}} {
		more := topology
		more.Brokers += 2
		if before, after := declared(topology), declared(more); before != after {
			t.Errorf("%+v → %+v:\n%s\n%s", topology, more, before, after)
		}
	}
}

// TestBrokersWithoutAVote runs the container's command, up to the image's own script.
func TestBrokersWithoutAVote(t *testing.T) {
	topology := Topology{Brokers: 5}
	args, p := testArgs(topology), topology.pools()[0]
	command, ok := args.command(p).(pulumi.StringArray)
	if !ok {
		t.Fatalf("command: %v", args.command(p))
	}
	script := strings.Replace(string(command[2].(pulumi.String)), "exec /etc/kafka/docker/run", `echo "$KAFKA_PROCESS_ROLES $KAFKA_LISTENERS"`, 1)
	for index, want := range map[string]string{
		"2": "broker,controller CLIENT://:9092,INTERNAL://:9094,CONTROLLER://:9093",
		"3": "broker CLIENT://:9092,INTERNAL://:9094",
	} {
		run := exec.CommandContext(t.Context(), "bash", "-c", script)
		run.Env = []string{"POD_INDEX=" + index}
		for _, e := range args.environment(p) {
			run.Env = append(run.Env, e.Name+"="+e.Value)
		}
		run.Env = append(run.Env, "POD_INDEX="+index)
		if got, err := run.Output(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("broker %s: %q, want %q (%v)", index, got, want, err)
		}
	}
}

func TestEnvironmentOfSeparateNodes(t *testing.T) {
	topology := Topology{Brokers: 4, Controllers: 3}
	args := testArgs(topology)
	pools := topology.pools()
	brokers, controllers := args.environment(pools[0]), args.environment(pools[1])
	const voters = "1000@kafka-controller-0.kafka-controller-nodes.data.svc.cluster.local:9093"
	for _, env := range [][]pod.Env{brokers, controllers} {
		if got := lookup(env, "KAFKA_CONTROLLER_QUORUM_VOTERS"); !strings.HasPrefix(got, voters) || strings.Count(got, "@") != 3 {
			t.Errorf("voters %q", got)
		}
	}
	if got := lookup(brokers, "KAFKA_LISTENERS"); got != "CLIENT://:9092,INTERNAL://:9094" {
		t.Errorf("brokers listen on %q", got)
	}
	if got := lookup(brokers, "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"); !strings.Contains(got, "CONTROLLER:") {
		t.Errorf("brokers do not know how to talk to controllers: %q", got)
	}
	if got := lookup(controllers, "KAFKA_LISTENERS"); got != "CONTROLLER://:9093" {
		t.Errorf("controllers listen on %q", got)
	}
	if got := lookup(controllers, "KAFKA_ADVERTISED_LISTENERS"); got != "" {
		t.Errorf("the image stops a controller that advertises listeners: %q", got)
	}
	if got := lookup(controllers, "KAFKA_NODE_ID"); got != "100$(POD_INDEX)" {
		t.Errorf("controllers are %q", got)
	}
}

func TestTopology(t *testing.T) {
	for _, test := range []struct {
		topology         Topology
		replication, isr int
		fault            string
	}{
		{Topology{Brokers: 1}, 1, 1, ""},
		{Topology{Brokers: 3}, 3, 2, ""},
		{Topology{Brokers: 5}, 3, 2, ""},
		{Topology{Brokers: 2, Controllers: 1}, 2, 1, ""},
		{Topology{Brokers: 12, Controllers: 5}, 3, 2, ""},
		{Topology{Brokers: 2}, 2, 1, ""},
		{Topology{Brokers: 4}, 3, 2, ""},
		{Topology{Brokers: 5, Voters: 5}, 3, 2, ""},
		{Topology{Brokers: 3, Voters: 2}, 3, 2, "quorum is odd"},
		{Topology{Brokers: 3, Voters: 5}, 3, 2, "at most as many voters"},
		{Topology{Brokers: 3, Controllers: 3, Voters: 3}, 3, 2, "set only one of the two"},
		{Topology{Brokers: 0}, 0, 1, "kafka.brokers: 0"},
		{Topology{Brokers: 3, Controllers: 4}, 3, 2, "quorum is odd"},
		{Topology{Brokers: 7, Voters: 7}, 3, 2, "1, 3 or 5"},
	} {
		if got := test.topology.ReplicationFactor(); got != test.replication {
			t.Errorf("%+v: %d copies, want %d", test.topology, got, test.replication)
		}
		if got := MinInSyncReplicas(test.topology.ReplicationFactor()); got != test.isr {
			t.Errorf("%+v: %d in sync, want %d", test.topology, got, test.isr)
		}
		err := test.topology.Check()
		if (err != nil) != (test.fault != "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%+v: %v, want %q", test.topology, err, test.fault)
		}
	}
}

func TestClusterID(t *testing.T) {
	valid := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{21}$`)
	seen := map[string]bool{}
	for _, stack := range []string{"dev", "small", "prod", "a", "b", "c", "d", "e"} {
		id := ClusterID("shop", stack)
		if !valid.MatchString(id) || id == "5L6g3nShT-eMCtK--X86sw" {
			t.Errorf("stack %s: %q", stack, id)
		}
		if seen[id] || ClusterID("shop", stack) != id {
			t.Errorf("stack %s: %q belongs to another, or changes", stack, id)
		}
		seen[id] = true
	}
}
