// Package plan derives from a configuration, in plain Go, what will be declared: the services and their environments,
// topics, routes, the call graph, grants and resource requests. It also checks that they fit together.
package plan

import (
	"errors"
	"slices"
	"time"

	"shopstream/infra/internal/config"
)

// Check returns all faults of a configuration at once: of single values, and of values that don't fit together. A preview
// needs no secrets, since whoever reviews a change has none.
func Check(c config.Config, s config.Secrets, preview bool) error {
	faults := []error{config.Check(c, s, preview)}
	if !slices.Contains(config.Profiles(), c.Profile) {
		// Without a valid profile there are no defaults to check the rest against.
		return errors.Join(faults...)
	}
	if c.Kafka.Brokers > 0 { // else there is an external Kafka, or the number itself is reported
		faults = append(faults, Topology(c).Check())
	}
	return errors.Join(slices.Concat(faults,
		CheckCredentials(c, s, time.Now()), checkNamespaces(c), checkScaling(c), checkBudget(c))...)
}

// checkScaling reports consumers that may have more pods than their topic has partitions.
func checkScaling(c config.Config) []error {
	var faults []error
	for _, s := range Services(c) {
		if s.Scale.Lag != nil && s.Size.Max > s.Scale.Lag.Partitions {
			faults = append(faults, config.Fault("services."+s.Key+".max",
				"%d is more than the partitions of topic %q, %d: the additional pods would get no partition; "+
					"lower max or raise the partitions", s.Size.Max, s.Scale.Lag.Name, s.Scale.Lag.Partitions))
		}
	}
	return faults
}

// checkNamespaces reports namespaces that two parts share, or that Kubernetes uses.
func checkNamespaces(c config.Config) []error {
	var faults []error
	if name := c.Kafka.External.Namespace; c.Kafka.IsExternal() && slices.Contains(ClosedNamespaces(c), name) {
		faults = append(faults, config.Fault("kafka.external.namespace", "%q is created by the stack: name the namespace where the brokers run", name))
	}
	if name := c.Ingress.Namespace; name != "" && !c.Ingress.Installed() && slices.Contains(ClosedNamespaces(c), name) {
		faults = append(faults, config.Fault("ingress.namespace", "%q is created by the stack: name the namespace where the cluster's controller runs", name))
	}
	if name := c.Tracing.Namespace; name != "" && !c.Addons.Jaeger && slices.Contains(ClosedNamespaces(c), name) {
		faults = append(faults, config.Fault("tracing.namespace", "%q is created by the stack: name the namespace where the collector runs", name))
	}
	used := map[string]string{AppNamespace: "the services", DataNamespace: "Kafka and MongoDB"}
	for _, place := range []struct {
		key, name, who string
		made           bool
	}{
		{"ingress.namespace", c.Ingress.Namespace, "the ingress controller", c.Ingress.Installed()},
		{"addons.kedaNamespace", c.Addons.KEDANamespace, "KEDA", c.Addons.KEDA},
		{"addons.monitoringNamespace", c.Addons.MonitoringNamespace, "monitoring", c.Addons.Monitors()},
	} {
		if place.made && slices.Contains(protectedNamespaces(), place.name) {
			faults = append(faults, config.Fault(place.key, "%q belongs to Kubernetes, and the stack would deny all traffic in it and delete it "+
				"on destroy: set another name", place.name))
		}
		if other, taken := used[place.name]; taken && place.made {
			faults = append(faults, config.Fault(place.key, "%q is the namespace of %s too: set another name", place.name, other))
		}
		if place.made {
			used[place.name] = place.who
		}
	}
	return faults
}

// protectedNamespaces are those that every cluster has, which no stack may take over.
func protectedNamespaces() []string {
	return []string{"default", "kube-node-lease", "kube-public", "kube-system"}
}
