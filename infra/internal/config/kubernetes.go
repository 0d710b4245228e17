package config

import (
	"fmt"
	"strconv"
	"strings"
)

// KubernetesVersion is what minikube is started with. Its minor version is the newest that the platform is tested on.
//
// renovate: datasource=github-releases depName=kubernetes/kubernetes
const KubernetesVersion = "v1.35.4"

// The oldest minor versions of Kubernetes 1 that the platform works on.
const (
	// oldestMinor is the oldest that KEDA 2.20 is tested on, which says 1.33 to 1.35: https://keda.sh/docs/2.20/operate/cluster
	oldestMinor = 33

	// oldestMinorWithZones is the first that tells a pod its node's zone without further rights (KEP-4742).
	oldestMinorWithZones = 35
)

// CheckKubernetes judges the version of an API server, such as v1.35.4 or v1.34.2-eks-1: an error where the platform
// does not work on it, a warning where that has not been tested, and neither where it has.
func CheckKubernetes(version string, c Cluster) (warning string, err error) {
	minor, err := minorOf(version)
	if err != nil {
		return "", err
	}
	newest, err := minorOf(KubernetesVersion)
	if err != nil {
		return "", err
	}
	tested := fmt.Sprintf("the platform is tested on 1.%d to 1.%d", oldestMinor, newest)
	switch {
	case minor < oldestMinor:
		return "", fmt.Errorf("the cluster has Kubernetes %s, and %s: upgrade the cluster", version, tested)
	case c.Zones && minor < oldestMinorWithZones:
		return "", fmt.Errorf("the cluster has Kubernetes %s, and cluster.zones needs 1.%d: upgrade the cluster, or set cluster.zones to false",
			version, oldestMinorWithZones)
	case minor > newest:
		return fmt.Sprintf("the cluster has Kubernetes %s, and %s. Newer versions mostly work; what fails first is KEDA, so look at make status.",
			version, tested), nil
	}
	return "", nil
}

// minorOf returns the 35 of v1.35.4.
func minorOf(version string) (int, error) {
	minor, isOne := strings.CutPrefix(version, "v1.")
	minor, _, _ = strings.Cut(minor, ".")
	number, err := strconv.Atoi(minor)
	if err != nil || !isOne {
		return 0, fmt.Errorf("%q is not a version of Kubernetes 1: see kubectl version", version)
	}
	return number, nil
}
