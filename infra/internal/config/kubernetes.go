package config

import (
	"fmt"
	"strconv"
	"strings"
)

// KubernetesVersion is the version for minikube. Its minor version is the newest that the platform is tested with.
//
// renovate: datasource=github-releases depName=kubernetes/kubernetes
const KubernetesVersion = "v1.35.4"

// The oldest minor versions of Kubernetes 1 that the platform works with.
const (
	// oldestMinor is the oldest that KEDA 2.20 is tested with, which is 1.33 to 1.35: https://keda.sh/docs/2.20/operate/cluster
	oldestMinor = 33

	// oldestMinorWithZones is the first that tells a pod its node's zone without additional rights (KEP-4742).
	oldestMinorWithZones = 35
)

// CheckKubernetes checks the version of an API server, such as v1.35.4 or v1.34.2-eks-1. It returns an error if the
// platform does not work with it, and a warning if that is untested.
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
		return fmt.Sprintf("the cluster has Kubernetes %s, and %s. Newer versions usually work; KEDA fails first, so check make status.",
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
