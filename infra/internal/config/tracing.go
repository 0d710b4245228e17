package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Tracing says where the services send their traces.
type Tracing struct {
	// Endpoint is the base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as
	// `http://collector.tracing:4318`. Empty means that nothing is traced, unless `addons.jaeger` is on.
	Endpoint string `json:"endpoint"`

	// Sampling is how many of the traces are recorded, in percent.
	Sampling int `json:"sampling"`

	// Namespace is where the collector runs, if that is in the same Kubernetes cluster. Its pods must listen on the port of
	// the endpoint, as policies apply to pods.
	Namespace string `json:"namespace"`

	// Addresses are the CIDR blocks of the collector. They can be set instead of a namespace.
	Addresses []string `json:"addresses"`

	// URL is where browsers find a trace, with {id} for its id, such as `http://localhost:16686/trace/{id}` for a Jaeger whose port
	// is forwarded. The way of a purchase, its record in the viewer and Grafana's exemplars link to it.
	URL string `json:"url"`
}

// completeTracing lets the services send their traces to the stack's own Jaeger.
func (c *Config) completeTracing() []error {
	if !c.Addons.Jaeger {
		return nil
	}
	var faults []error
	if t := c.Tracing; t.On() || t.Namespace != "" || len(t.Addresses) > 0 {
		faults = append(faults, Fault("addons.jaeger", "is on, but tracing names another collector: leave out one of the two"))
	}
	c.Tracing.Endpoint = fmt.Sprintf("http://jaeger.%s.svc:4318", c.Addons.MonitoringNamespace)
	c.Tracing.Namespace, c.Tracing.Addresses = c.Addons.MonitoringNamespace, nil
	return faults
}

// On reports whether the services trace what they do.
func (t Tracing) On() bool { return t.Endpoint != "" }

// Share is the sampling from 0 to 1, as the services read it.
func (t Tracing) Share() string { return strconv.FormatFloat(float64(t.Sampling)/100, 'f', -1, 64) }

func checkTracing(t Tracing) []error {
	const key = "tracing."
	faults := slices.Concat(
		collector(key+"endpoint", t.Endpoint),
		between(key+"sampling", t.Sampling, 0, 100),
		cidrs(key+"addresses", t.Addresses),
		address(key+"url", strings.ReplaceAll(t.URL, "{id}", "id"), "http", "https"),
	)
	if t.URL != "" && !strings.Contains(t.URL, "{id}") {
		faults = append(faults, Fault(key+"url", "%q has no {id}, which is replaced by the id of the trace", t.URL))
	}
	if t.Namespace != "" {
		faults = append(faults, namespaceName(key+"namespace", t.Namespace)...)
	}
	switch {
	case t.On() && len(t.Addresses) == 0 && t.Namespace == "":
		faults = append(faults, Fault(key+"namespace", "is empty, so the network policies would refuse the collector: name its namespace, or set "+
			"tracing.addresses if it runs outside of the cluster"))
	case t.On() && len(t.Addresses) > 0 && t.Namespace != "":
		faults = append(faults, Fault(key+"addresses", "is set, but tracing.namespace is too: set one of the two"))
	case !t.On() && (len(t.Addresses) > 0 || t.Namespace != ""):
		faults = append(faults, Fault(key+"endpoint", "is empty, but the place of the collector is set: set its address, or remove the rest of tracing"))
	}
	return faults
}

// collector checks a base URL as the services do; empty is valid.
func collector(key, value string) []error {
	if faults := address(key, value, "http", "https"); len(faults) > 0 || value == "" {
		return faults
	}
	if u, err := url.Parse(value); err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		return []error{Fault(key, "must have no user, query or fragment: write it like http://collector.tracing:4318")}
	} else if err == nil {
		return notThePod(key, u.Hostname())
	}
	return nil
}
