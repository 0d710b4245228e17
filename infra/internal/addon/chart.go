package addon

import (
	"path"
	"strings"
)

// Chart is one line of the table of addons.
type Chart struct {
	// Name is the chart's and the release's.
	Name      string
	Version   string
	Namespace string

	// Repository is where the chart comes from, unless Folder is set.
	Repository string
	Folder     string

	Values map[string]any

	// SkipCRDs skips the definitions in the chart's folder crds, which Helm never removes again.
	SkipCRDs bool

	// Rights is what its pods may do with objects of the API server, if the chart itself grants nothing.
	Rights Rights

	// Files are in a ConfigMap named FilesName, which the chart mounts.
	Files map[string]string

	// Unknown charts are unreachable. A preview shows them, but not whether they would change.
	Unknown bool

	// Demands are the resources that its pods request.
	Demands []Demand
}

// Source is where charts come from instead of their own repositories, and which of their values are overridden.
type Source struct {
	Repository, Folder string
	Values             map[string]any
}

// Apply returns the chart from that source.
func (s Source) Apply(c Chart) Chart {
	if s.Repository != "" {
		c.Repository = s.Repository
	}
	if s.Folder != "" {
		c.Repository, c.Folder = "", s.Folder
	}
	if over, ok := s.Values[c.Name].(map[string]any); ok {
		c.Values = merge(c.Values, over)
	}
	return c
}

// PrometheusVolume is the path of Prometheus's volume among the volumes of charts.
const PrometheusVolume = "prometheus.server.persistentVolume"

// Volumes returns the values of each volume that the chart claims, by their path. The charts of this table call them
// persistence or persistentVolume.
func (c Chart) Volumes() map[string]map[string]any {
	volumes := map[string]map[string]any{}
	claimed(volumes, c.Name, c.Values)
	return volumes
}

func claimed(volumes map[string]map[string]any, path string, values map[string]any) {
	if enabled, set := values["enabled"].(bool); set && !enabled {
		return
	}
	for key, value := range values {
		inner, isMap := value.(map[string]any)
		if !isMap {
			continue
		}
		at := path + "." + key
		if key != "persistence" && key != "persistentVolume" {
			claimed(volumes, at, inner)
			continue
		}
		if inner["enabled"] == true && inner["existingClaim"] == nil {
			volumes[at] = inner
		}
	}
}

// InRegistry reports whether the chart comes from an OCI registry, which has no index.
func (c Chart) InRegistry() bool { return strings.HasPrefix(c.Repository, "oci://") }

// location is a name in the repository, an address in a registry, or a path.
func (c Chart) location() string {
	switch {
	case c.Folder != "":
		return path.Join(c.Folder, c.Name)
	case c.InRegistry():
		return strings.TrimSuffix(c.Repository, "/") + "/" + c.Name
	default:
		return c.Name
	}
}
