package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// probeScript tries to open each target. Connections are tried more than once: what is open may take a moment to be so
// for a new pod, and what is closed has to stay closed.
const probeScript = `sleep 3
for t in $TARGETS; do
  h=${t%:*}; p=${t##*:}; s=refused
  if command -v getent >/dev/null && ! getent hosts $h >/dev/null; then s=unresolved; fi
  for i in 1 2 3; do
    if timeout 4 bash -c ": <>/dev/tcp/$h/$p" 2>/dev/null; then s=open; break; fi
    sleep 1
  done
  echo $t=$s
done`

// checkPolicies opens connections from pods that have an edge in the call graph, and from pods that have none.
func (t *trial) checkPolicies(ctx context.Context) {
	const kafka, mongo, store = "kafka." + shopData + ":9092", "mongodb-0.mongodb-nodes." + shopData + ":27017", "management-api." + shop + ":8080"
	image, err := t.kube.run(ctx, "-n", shopData, "get", "statefulset", "kafka", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil {
		t.report("the image of the probes is known", err)
		return
	}
	targets := []string{kafka, store}
	if _, err := t.kube.run(ctx, "-n", shopData, "get", "statefulset", "mongodb"); err == nil {
		targets = append(targets, mongo)
	}
	probes := []struct{ name, namespace, label, who, open string }{
		// The label of topics is the one edge to Kafka that no Service sends requests to.
		{"known", shop, "topics", "a pod with the edge of topics", kafka},
		{"unknown", shop, "e2e-stranger", "a pod without an edge", ""},
		{"outside", "default", "e2e-stranger", "a pod of another namespace", ""},
	}
	for _, q := range probes {
		if err := t.probe(ctx, q.name, q.namespace, q.label, image, targets); err != nil {
			t.report("the probes can be started", err)
			return
		}
	}
	for _, q := range probes {
		found, err := t.findings(ctx, q.namespace, t.name+"-"+q.name)
		if err != nil {
			t.report(q.who, err)
			continue
		}
		for _, target := range targets {
			wanted := "refused"
			if target == q.open {
				wanted = "open"
			}
			var err error
			if found[target] != wanted {
				err = fmt.Errorf("%s is wanted, and it is %q", wanted, found[target])
			}
			t.report(fmt.Sprintf("%s to %s: %s", q.who, target, wanted), err)
		}
	}
}

// probe starts a pod that tries the targets, under that label. It has the image of the brokers, which the cluster has
// already and which has a shell.
func (t *trial) probe(ctx context.Context, name, namespace, label, image string, targets []string) error {
	type object = map[string]any
	pod := object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name": t.name + "-" + name, "namespace": namespace,
			"labels": object{"app.kubernetes.io/name": label, "app.kubernetes.io/part-of": "shopstream", "shopstream/e2e": t.name},
		},
		"spec": object{
			"restartPolicy": "Never", "activeDeadlineSeconds": 240, "terminationGracePeriodSeconds": 1,
			"enableServiceLinks": false, "automountServiceAccountToken": false,
			"securityContext": object{"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": object{"type": "RuntimeDefault"}},
			"containers": []object{{
				"name": "probe", "image": image, "imagePullPolicy": "IfNotPresent", "command": []string{"bash", "-c", probeScript},
				"env": []object{{"name": "TARGETS", "value": strings.Join(targets, " ")}},
				"resources": object{
					"requests": object{"cpu": "10m", "memory": "32Mi"}, "limits": object{"cpu": "500m", "memory": "64Mi"},
				},
				"securityContext": object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []string{"ALL"}}},
			}},
		},
	}
	encoded, err := json.Marshal(pod)
	if err != nil {
		return fmt.Errorf("encoding a probe: %w", err)
	}
	apply := t.kube.command(ctx, "apply", "-f", "-")
	apply.Stdin = strings.NewReader(string(encoded))
	_, err = outputOf(apply)
	return err
}

// findings waits for a probe's end and returns what became of each target.
func (t *trial) findings(ctx context.Context, namespace, pod string) (map[string]string, error) {
	var phase string
	ended := within(ctx, 4*time.Minute, func(ctx context.Context) bool {
		said, _ := t.kube.run(ctx, "-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.phase}")
		phase = strings.TrimSpace(said)
		return phase == "Succeeded" || phase == "Failed"
	})
	if !ended {
		return nil, fmt.Errorf("the pod %s has not run: it is %s", pod, phase)
	}
	said, err := t.kube.run(ctx, "-n", namespace, "logs", pod)
	found := map[string]string{}
	for line := range strings.Lines(said) {
		if target, state, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			found[target] = state
		}
	}
	return found, err
}
