package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Workload is what a manifest declares for some pods: the environment of their container,
// and the Secrets that are mounted as files.
type Workload struct {
	name     string
	replicas int
	env      []envVar
	mounts   []mount
}

type envVar struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	ValueFrom *struct {
		FieldRef *struct {
			FieldPath string `json:"fieldPath"`
		} `json:"fieldRef"`
		SecretKeyRef *struct {
			Name string `json:"name"`
			Key  string `json:"key"`
		} `json:"secretKeyRef"`
	} `json:"valueFrom"`
}

// mount is a Secret mounted in a folder.
type mount struct{ secret, folder string }

type declaration struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	StringData map[string]string `json:"stringData"`
	Spec       struct {
		Replicas int `json:"replicas"`
		Template struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
			Spec struct {
				Containers []struct {
					Env          []envVar `json:"env"`
					VolumeMounts []struct {
						Name      string `json:"name"`
						MountPath string `json:"mountPath"`
					} `json:"volumeMounts"`
				} `json:"containers"`
				Volumes []struct {
					Name   string `json:"name"`
					Secret *struct {
						SecretName string `json:"secretName"`
					} `json:"secret"`
				} `json:"volumes"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

var documents = regexp.MustCompile(`(?m)^---\s*$`)

// declarations reads the documents in a file of manifests until found returns true.
func declarations(data []byte, found func(declaration) bool) error {
	for _, document := range documents.Split(string(data), -1) {
		var d declaration
		// Other kinds have other specs, which is not an error.
		if err := yaml.Unmarshal([]byte(document), &d); err == nil && found(d) {
			return nil
		}
	}
	return errors.New("the manifest is missing")
}

// ParseWorkload finds the Deployment, StatefulSet or Job with that name in a file of
// manifests. A Job's own name ends in a digest; its pods have the plain name.
func ParseWorkload(data []byte, kind, name string) (Workload, error) {
	var w Workload
	var fault error
	err := declarations(data, func(d declaration) bool {
		if d.Kind != kind || d.Metadata.Name != name && d.Spec.Template.Metadata.Labels["app.kubernetes.io/name"] != name {
			return false
		}
		pod := d.Spec.Template.Spec
		if len(pod.Containers) != 1 {
			fault = fmt.Errorf("%d containers, expected 1", len(pod.Containers))
			return true
		}
		w = Workload{name: d.Metadata.Name, replicas: d.Spec.Replicas, env: pod.Containers[0].Env}
		for _, volume := range pod.Volumes {
			for _, m := range pod.Containers[0].VolumeMounts {
				if volume.Secret != nil && volume.Name == m.Name {
					w.mounts = append(w.mounts, mount{volume.Secret.SecretName, m.MountPath})
				}
			}
		}
		return true
	})
	if err := errors.Join(err, fault); err != nil {
		return Workload{}, fmt.Errorf("reading %s %q: %w", kind, name, err)
	}
	return w, nil
}

// Environment resolves the variables of a pod as the kubelet does: from the given fields of
// the pod, and from Secrets. It writes mounted Secrets to files below dir, and changes the
// variables with their paths.
func (w Workload) Environment(fields map[string]string, secrets Secrets, dir string) (map[string]string, error) {
	env := map[string]string{}
	for _, v := range w.env {
		value := v.Value
		switch from := v.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil:
			known, ok := fields[from.FieldRef.FieldPath]
			if !ok {
				return nil, fmt.Errorf("%s comes from %s, which is not known here", v.Name, from.FieldRef.FieldPath)
			}
			value = known
		case from.SecretKeyRef != nil:
			known, ok := secrets[from.SecretKeyRef.Name][from.SecretKeyRef.Key]
			if !ok {
				return nil, fmt.Errorf("%s comes from Secret %q, key %q, which doesn't exist", v.Name, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
			value = known
		default:
			return nil, fmt.Errorf("%s comes from a source that only a cluster has", v.Name)
		}
		for _, m := range w.mounts {
			value = strings.ReplaceAll(value, m.folder+"/", filepath.Join(dir, m.folder)+"/")
		}
		env[v.Name] = reference.ReplaceAllStringFunc(value, func(ref string) string {
			if known, ok := env[ref[2:len(ref)-1]]; ok {
				return known
			}
			return ref // the kubelet leaves unknown references as they are
		})
	}
	return env, w.place(secrets, dir)
}

var reference = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`)

// place writes the files of the mounted Secrets.
func (w Workload) place(secrets Secrets, dir string) error {
	for _, m := range w.mounts {
		folder := filepath.Join(dir, m.folder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("making the folder of Secret %q: %w", m.secret, err)
		}
		if len(secrets[m.secret]) == 0 {
			return fmt.Errorf("mounting Secret %q: it doesn't exist", m.secret)
		}
		for key, value := range secrets[m.secret] {
			if err := os.WriteFile(filepath.Join(folder, key), []byte(value), 0o600); err != nil {
				return fmt.Errorf("writing a file of Secret %q: %w", m.secret, err)
			}
		}
	}
	return nil
}
