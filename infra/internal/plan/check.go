// Package plan is what follows from a configuration by plain Go, before anything is declared: the services and their
// environments, topics, routes, the call graph, grants, what the pods ask for, and whether it all fits together.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shopstream/infra/internal/config"
)

// Check returns everything that is wrong with a configuration at once, by itself and in what follows from it. A preview
// needs no secrets: whoever reviews a change has none.
func Check(c config.Config, s config.Secrets, preview bool) error {
	faults := []error{config.Check(c, s, preview)}
	if !slices.Contains(config.Profiles(), c.Profile) {
		// Without a profile nothing says what the stack is meant to be.
		return errors.Join(faults...)
	}
	if err := Topology(c).Check(); err != nil {
		faults = append(faults, fmt.Errorf("kafka: %w", err))
	}
	return errors.Join(slices.Concat(faults,
		CheckCredentials(c, s, time.Now()), checkNamespaces(c), checkScaling(c), checkBudget(c))...)
}

// checkScaling wants no more pods of a consumer than its topic has partitions.
func checkScaling(c config.Config) []error {
	var faults []error
	for _, s := range Services(c) {
		if s.Scale.Lag != nil && s.Size.Max > s.Scale.Lag.Partitions {
			faults = append(faults, config.Fault("services."+s.Key+".max",
				"%d is more than topic %q has partitions, which is %d: a pod too many would get none; "+
					"lower max or raise the partitions", s.Size.Max, s.Scale.Lag.Name, s.Scale.Lag.Partitions))
		}
	}
	return faults
}

// checkNamespaces wants a namespace of its own for whatever the stack makes one for.
func checkNamespaces(c config.Config) []error {
	var faults []error
	used := map[string]string{AppNamespace: "the services", DataNamespace: "Kafka and MongoDB"}
	for _, place := range []struct {
		key, name, who string
		made           bool
	}{
		{"ingress.namespace", c.Ingress.Namespace, "the ingress controller", c.Addons.IngressNginx},
		{"addons.kedaNamespace", c.Addons.KEDANamespace, "KEDA", c.Addons.KEDA},
		{"addons.monitoringNamespace", c.Addons.MonitoringNamespace, "monitoring", c.Addons.Prometheus || c.Addons.MetricsServer},
	} {
		if place.made && slices.Contains(protectedNamespaces(), place.name) {
			faults = append(faults, config.Fault(place.key, "%q belongs to Kubernetes, and the stack would close it and delete it "+
				"with itself: name another", place.name))
		}
		if other, taken := used[place.name]; taken && place.made {
			faults = append(faults, config.Fault(place.key, "%q is the namespace of %s: name another", place.name, other))
		}
		if place.made {
			used[place.name] = place.who
		}
	}
	return faults
}

// protectedNamespaces returns those that every cluster has, and that no stack may make its own.
func protectedNamespaces() []string {
	return []string{"default", "kube-node-lease", "kube-public", "kube-system"}
}
