package platform

import (
	"testing"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

// TestConsumersReadFromTheirOwnZone: brokers and clients take their zone from the same label, by which the brokers choose
// the replica. A cluster without zones has none of this.
func TestConsumersReadFromTheirOwnZone(t *testing.T) {
	const label = "metadata.labels['topology.kubernetes.io/zone']"
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		variables := map[string]string{}
		if !c.Kafka.IsExternal() {
			variables[kafka.Name] = "KAFKA_BROKER_RACK"
		}
		for _, s := range plan.Services(c) {
			variables[s.Name] = "KAFKA_CLIENT_RACK"
		}
		for workload, variable := range variables {
			value, set := environment(t, declared, workload)[variable]
			if set != c.Cluster.Zones {
				t.Errorf("%s: %s is set: %t, and cluster.zones is %t", workload, variable, set, c.Cluster.Zones)
			}
			if set && (value.ValueFrom == nil || value.ValueFrom.FieldRef.FieldPath != label) {
				t.Errorf("%s: %s is %+v", workload, variable, value)
			}
		}
		if c.Kafka.IsExternal() {
			return
		}
		if _, set := environment(t, declared, kafka.Name)["KAFKA_REPLICA_SELECTOR_CLASS"]; set != c.Cluster.Zones {
			t.Errorf("the brokers have a replica selector: %t, and cluster.zones is %t", set, c.Cluster.Zones)
		}
	})
}
