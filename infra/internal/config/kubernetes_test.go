package config

import (
	"strings"
	"testing"
)

func TestCheckKubernetes(t *testing.T) {
	for version, test := range map[string]struct {
		zones        bool
		warning, err string
	}{
		KubernetesVersion:     {},
		"v1.33.0":             {},
		"v1.34.2-eks-1-34-5":  {},
		"v1.35.1-gke.1000000": {zones: true},
		"v1.32.9":             {err: "tested on 1.33 to 1.35: upgrade the cluster"},
		"v1.34.9":             {zones: true, err: "set cluster.zones to false"},
		"v1.36.0":             {warning: "tested on 1.33 to 1.35"},
		"v1.37.0+k3s1":        {zones: true, warning: "v1.37.0+k3s1"},
		"v2.0.0":              {err: "not a version of Kubernetes 1"},
		"":                    {err: "not a version of Kubernetes 1"},
	} {
		warning, err := CheckKubernetes(version, Cluster{Zones: test.zones})
		if (warning != "") != (test.warning != "") || !strings.Contains(warning, test.warning) {
			t.Errorf("%q: the warning is %q, want %q", version, warning, test.warning)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: the error is %v, want %q", version, err, test.err)
		}
	}
}
