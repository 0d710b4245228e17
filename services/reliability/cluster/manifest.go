package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Manifest is what the brokers' StatefulSet declares: how many nodes, and the
// environment that each is configured by.
type Manifest struct {
	name  string
	nodes int
	env   []envVar
}

type envVar struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	ValueFrom *struct {
		FieldRef *struct {
			FieldPath string `json:"fieldPath"`
		} `json:"fieldRef"`
	} `json:"valueFrom"`
}

// ParseManifest finds the brokers' StatefulSet, which is called "kafka", in a
// file of manifests.
func ParseManifest(data []byte) (Manifest, error) {
	for _, document := range documents.Split(string(data), -1) {
		var set statefulSet
		if err := yaml.Unmarshal([]byte(document), &set); err != nil {
			return Manifest{}, fmt.Errorf("reading the brokers' manifest: %w", err)
		}
		if set.Kind != "StatefulSet" || set.Metadata.Name != brokers {
			continue
		}
		containers := set.Spec.Template.Spec.Containers
		if len(containers) != 1 || set.Spec.Replicas < 1 {
			return Manifest{}, fmt.Errorf("reading the brokers' manifest: %d containers and %d replicas, expected 1 container and at least 1 replica", len(containers), set.Spec.Replicas)
		}
		return Manifest{name: set.Metadata.Name, nodes: set.Spec.Replicas, env: containers[0].Env}, nil
	}
	return Manifest{}, fmt.Errorf("reading the brokers' manifest: no StatefulSet %q in it", brokers)
}

// brokers is what infra calls the brokers' StatefulSet.
const brokers = "kafka"

var documents = regexp.MustCompile(`(?m)^---\s*$`)

type statefulSet struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Replicas int `json:"replicas"`
		Template struct {
			Spec struct {
				Containers []struct {
					Env []envVar `json:"env"`
				} `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

// environment resolves the variables of one node as the kubelet would.
func (m Manifest) environment(node int) (map[string]string, error) {
	env := map[string]string{}
	for _, v := range m.env {
		value := v.Value
		if v.ValueFrom != nil {
			if v.ValueFrom.FieldRef == nil {
				return nil, fmt.Errorf("%s comes from a source that only a cluster has", v.Name)
			}
			switch path := v.ValueFrom.FieldRef.FieldPath; path {
			case "metadata.name":
				value = fmt.Sprintf("%s-%d", m.name, node)
			case "metadata.labels['apps.kubernetes.io/pod-index']":
				value = strconv.Itoa(node)
			case "metadata.labels['topology.kubernetes.io/zone']":
				value = fmt.Sprintf("zone-%d", node)
			default:
				return nil, fmt.Errorf("%s comes from %s, which is not known here", v.Name, path)
			}
		}
		env[v.Name] = reference.ReplaceAllStringFunc(value, func(ref string) string {
			if known, ok := env[ref[2:len(ref)-1]]; ok {
				return known
			}
			return ref // as the kubelet leaves what it doesn't know
		})
	}
	return env, nil
}

var (
	reference = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`)
	podName   = regexp.MustCompile(`[a-z0-9][a-z0-9-]*-(\d+)\.[a-z0-9.-]+:(\d+)`)
	bindAll   = regexp.MustCompile(`://(?:0\.0\.0\.0)?:(\d+)`)
)

// address finds where a node's port of the cluster is on this machine.
type address func(node, port int) string

// onLoopback moves a node's environment from the cluster to this machine:
// names of pods become addresses of loopback, and the data goes to dir.
// Everything else stays as declared.
func onLoopback(env map[string]string, node int, dir string, listen, advertise address) map[string]string {
	moved := maps.Clone(env)
	rewrite := func(key string, names address) {
		value, ok := moved[key]
		if !ok {
			return
		}
		value = podName.ReplaceAllStringFunc(value, func(s string) string {
			parts := podName.FindStringSubmatch(s)
			index, _ := strconv.Atoi(parts[1]) // digits, by the expression
			port, _ := strconv.Atoi(parts[2])
			return names(index, port)
		})
		moved[key] = bindAll.ReplaceAllStringFunc(value, func(s string) string {
			port, _ := strconv.Atoi(bindAll.FindStringSubmatch(s)[1])
			return "://" + listen(node, port)
		})
	}
	rewrite("KAFKA_CONTROLLER_QUORUM_VOTERS", listen)
	rewrite("KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS", listen)
	rewrite("KAFKA_LISTENERS", listen)
	rewrite("KAFKA_ADVERTISED_LISTENERS", advertise)
	moved["KAFKA_LOG_DIRS"] = dir
	return moved
}

// clientPort is the port of the first advertised listener.
func clientPort(env map[string]string) (int, error) {
	first, _, _ := strings.Cut(env["KAFKA_ADVERTISED_LISTENERS"], ",")
	port, err := strconv.Atoi(first[strings.LastIndex(first, ":")+1:])
	if err != nil {
		return 0, fmt.Errorf("reading the client port of KAFKA_ADVERTISED_LISTENERS %q: %w", env["KAFKA_ADVERTISED_LISTENERS"], err)
	}
	return port, nil
}
