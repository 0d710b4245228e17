package platform

import (
	"encoding/base64"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/plan"
)

// stackNamed is one of the test stacks.
func stackNamed(t *testing.T, name string) testStack {
	t.Helper()
	for _, s := range testStacks() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no stack %q", name)
	return testStack{}
}

func TestAnExternalKafkaReplacesTheStacksOwn(t *testing.T) {
	for _, name := range []string{"prod with an external kafka", "dev with an open kafka"} {
		t.Run(name, func(t *testing.T) {
			stack := stackNamed(t, name)
			declared := stack.run(t)
			for name := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
				if name != "mongodb" {
					t.Errorf("there is a stateful set %q", name)
				}
			}
			for name := range objects[corev1.Service](t, declared, "Service") {
				if strings.HasPrefix(name, kafka.Name) {
					t.Errorf("there is a service %q", name)
				}
			}
			for name := range objects[policyv1.PodDisruptionBudget](t, declared, "PodDisruptionBudget") {
				if strings.HasPrefix(name, kafka.Name) {
					t.Errorf("there is a disruption budget %q", name)
				}
			}
			for name := range objects[corev1.Secret](t, declared, "Secret") {
				if name == kafka.CredentialsSecret || name == kafka.CertificateSecret {
					t.Errorf("there is a secret %q", name)
				}
			}
			env := environment(t, declared, plan.TopicsJob)
			if _, list := env["ACLS"]; list || env["EXTERNAL"].Value != "true" {
				t.Errorf("the topics Job has an access list: %t, and EXTERNAL=%s", list, env["EXTERNAL"].Value)
			}
		})
	}
}

func TestClientsOfAnExternalKafkaUseTheirCredential(t *testing.T) {
	declared := stackNamed(t, "prod with an external kafka").run(t)
	given := map[string]string{}
	for _, r := range declared {
		if r.Type != "kubernetes:core/v1:Secret" {
			continue
		}
		data := r.Inputs["data"]
		if data.IsSecret() {
			data = data.SecretValue().Element
		}
		for key, value := range data.ObjectValue() {
			if value.IsSecret() {
				value = value.SecretValue().Element
			}
			decoded, err := base64.StdEncoding.DecodeString(value.StringValue())
			if err != nil {
				t.Fatal(err)
			}
			given[r.Name+"/"+string(key)] = string(decoded)
		}
	}
	for client, want := range map[string][2]string{
		plan.WebServer: {"shop", "of the shop"}, plan.Consumer: {"shop", "of the shop"}, plan.TopicsJob: {"owner", "of the owner"},
	} {
		env := environment(t, declared, client)
		for variable, value := range map[string]string{
			"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_TLS_CA_FILE": kafka.AuthorityFile,
			"KAFKA_BOOTSTRAP_SERVERS": "b-1.kafka.example.com:9096,b-2.kafka.example.com:9096",
		} {
			if env[variable].Value != value {
				t.Errorf("%s has %s=%q, want %q", client, variable, env[variable].Value, value)
			}
		}
		for i, variable := range []string{"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"} {
			reference := env[variable].ValueFrom.SecretKeyRef
			if got := given[reference.Name+"/"+reference.Key]; got != want[i] {
				t.Errorf("%s has %s=%q of %s/%s, want %q", client, variable, got, reference.Name, reference.Key, want[i])
			}
		}
	}
	for key, want := range map[string]string{
		"kafka-clients/keda-sasl": "scram_sha512", "kafka-clients/keda-tls": "enable", "kafka-clients/keda.username": "shop",
	} {
		if given[key] != want {
			t.Errorf("%s is %q, want %q", key, given[key], want)
		}
	}
}

// TestOnlyBrokersAreReachedOutside evaluates the declared policies for addresses outside of the cluster.
func TestOnlyBrokersAreReachedOutside(t *testing.T) {
	stack := stackNamed(t, "prod with an external kafka")
	declared := stack.run(t)
	c, _ := stack.parsed(t)
	judge := newCluster(t, declared, podPeers(t, c, declared))
	judge.byName["a broker"] = "198.51.100.7"
	for _, test := range []struct {
		from, to string
		port     int
		want     bool
	}{
		{plan.WebServer, "a broker", 9096, true},
		{plan.TopicsJob, "a broker", 9096, true},
		{"keda-operator", "a broker", 9096, true},
		{plan.WebServer, "a broker", 9092, false},
		{plan.WebServer, "outside", 9096, false},
		{"prometheus-server", "a broker", 9096, false},
		{"traefik", "a broker", 9096, false},
	} {
		if got := judge.allows(t, test.from, test.to, netpol.Port{Number: test.port}); got != test.want {
			t.Errorf("%s to %s on %d: allowed %t", test.from, test.to, test.port, got)
		}
	}
}
