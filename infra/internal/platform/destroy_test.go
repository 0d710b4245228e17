package platform

import (
	"slices"
	"strings"
	"testing"

	"shopstream/infra/internal/manifest"
)

func TestDestroyGoesInOrder(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		before := dependencies(declared)
		for _, r := range declared {
			if !strings.HasPrefix(r.Type, "kubernetes:") || r.Type == "kubernetes:core/v1:Namespace" {
				continue
			}
			// pulumi deletes a resource before those that it depends on.
			for _, other := range declared {
				needed := other.Type == "kubernetes:core/v1:Namespace" && namespaceOf(r) == other.Name ||
					other.Name == "keda" && other.Type == releaseToken && strings.Contains(r.Type, "keda.sh") ||
					other.Name == "ingress-nginx" && other.Type == releaseToken && strings.HasSuffix(r.Type, ":Ingress") ||
					other.Name == "traefik" && other.Type == releaseToken && strings.Contains(r.Type, "gateway.networking.k8s.io") ||
					other.Name == "shopstream-"+r.Name && r.Type == releaseToken ||
					other.Type == "netpol:Policies" && (r.Type == releaseToken || strings.HasSuffix(r.Type, "Set"))
				if needed && !before[r.URN][other.URN] {
					t.Errorf("%s %q may be deleted after %s %q", r.Type, r.Name, other.Type, other.Name)
				}
			}
		}
	})
}

const releaseToken = "kubernetes:helm.sh/v3:Release"

func namespaceOf(r manifest.Resource) string {
	if r.Type == releaseToken {
		return r.Inputs["namespace"].StringValue()
	}
	if metadata := r.Inputs["metadata"]; metadata.IsObject() {
		if ns := metadata.ObjectValue()["namespace"]; ns.IsString() {
			return ns.StringValue()
		}
	}
	return ""
}

// dependencies returns, for each resource, everything that it depends on: directly, through its parents, and through theirs.
func dependencies(declared resources) map[string]map[string]bool {
	direct := map[string][]string{}
	for _, r := range declared {
		direct[r.URN] = append(slices.Clone(r.Dependencies), r.Parent)
	}
	all := map[string]map[string]bool{}
	var visit func(start, urn string)
	visit = func(start, urn string) {
		for _, next := range direct[urn] {
			if next != "" && !all[start][next] {
				all[start][next] = true
				visit(start, next)
			}
		}
	}
	for urn := range direct {
		all[urn] = map[string]bool{}
		visit(urn, urn)
	}
	return all
}
