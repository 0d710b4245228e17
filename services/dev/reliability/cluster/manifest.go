package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Manifest is the brokers' StatefulSet: the number of nodes, and the environment that each
// is configured with.
type Manifest struct{ Workload }

// ParseManifest finds the brokers' StatefulSet, which is called "kafka", in a file of
// manifests.
func ParseManifest(data []byte) (Manifest, error) {
	w, err := ParseWorkload(data, "StatefulSet", brokers)
	if err != nil {
		return Manifest{}, err
	}
	if w.replicas < 1 {
		return Manifest{}, fmt.Errorf("reading the brokers' manifest: %d replicas, expected at least 1", w.replicas)
	}
	return Manifest{w}, nil
}

// brokers is the name of the brokers' StatefulSet in infra.
const brokers = "kafka"

// environment resolves the variables of one node as the kubelet does.
func (m Manifest) environment(node int, secrets Secrets, dir string) (map[string]string, error) {
	return m.Environment(map[string]string{
		"metadata.name": fmt.Sprintf("%s-%d", m.name, node),
		"metadata.labels['apps.kubernetes.io/pod-index']": strconv.Itoa(node),
		"metadata.labels['topology.kubernetes.io/zone']":  fmt.Sprintf("zone-%d", node),
	}, secrets, dir)
}

var (
	podName = regexp.MustCompile(`[a-z0-9][a-z0-9-]*-(\d+)\.[a-z0-9.-]+:(\d+)`)
	bindAll = regexp.MustCompile(`://(?:0\.0\.0\.0)?:(\d+)`)
)

// address returns the address on this machine for a node's port in the cluster.
type address func(node, port int) string

// onLoopback changes a node's environment for this machine: pod names become loopback
// addresses, and the data goes to dir. Everything else stays as declared.
func onLoopback(env map[string]string, node int, dir string, listen, voter, advertise address) map[string]string {
	moved := maps.Clone(env)
	rewrite := func(key string, names address) {
		value, ok := moved[key]
		if !ok {
			return
		}
		value = podName.ReplaceAllStringFunc(value, func(s string) string {
			parts := podName.FindStringSubmatch(s)
			index, _ := strconv.Atoi(parts[1]) // the expression matches digits only
			port, _ := strconv.Atoi(parts[2])
			return names(index, port)
		})
		moved[key] = bindAll.ReplaceAllStringFunc(value, func(s string) string {
			port, _ := strconv.Atoi(bindAll.FindStringSubmatch(s)[1])
			return "://" + listen(node, port)
		})
	}
	rewrite("KAFKA_CONTROLLER_QUORUM_VOTERS", voter)
	rewrite("KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS", voter)
	rewrite("KAFKA_LISTENERS", listen)
	rewrite("KAFKA_ADVERTISED_LISTENERS", advertise)
	moved["KAFKA_LOG_DIRS"] = dir
	return moved
}

// clientPort returns the port of the first advertised listener.
func clientPort(env map[string]string) (int, error) {
	first, _, _ := strings.Cut(env["KAFKA_ADVERTISED_LISTENERS"], ",")
	port, err := strconv.Atoi(first[strings.LastIndex(first, ":")+1:])
	if err != nil {
		return 0, fmt.Errorf("reading the client port of KAFKA_ADVERTISED_LISTENERS %q: %w", env["KAFKA_ADVERTISED_LISTENERS"], err)
	}
	return port, nil
}
