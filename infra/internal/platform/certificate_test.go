package platform

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/secret"
)

// fleet is a cluster with a secured stack, as an up leaves it for the next one.
type fleet struct {
	host   Host
	stored storedCertificate
}

func newFleet(t *testing.T, pair secret.Pair) *fleet {
	t.Helper()
	f := &fleet{host: testHost(t)}
	f.keep(map[string]string{kafka.CombinedKey: pair.Combined, kafka.AuthorityKey: pair.Authority})
	f.host.kafkaCertificate = func(string) (storedCertificate, error) { return f.stored, nil }
	f.host.issue = func(hosts []string) (secret.Pair, error) {
		return secret.Certificate(kafka.NodeName, hosts, time.Now())
	}
	return f
}

func (f *fleet) keep(values map[string]string) {
	f.stored.data = map[string]string{}
	for key, value := range values {
		f.stored.data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
}

// up brings the stack up and returns what it makes of the Secret, and which checksum the nodes' pods have. One that ends
// early has not started everybody.
func (f *fleet) up(t *testing.T, preview, early bool) (resources, string) {
	t.Helper()
	stack := testStack{file: "dev", settings: map[string]string{"addons": noAddons, "ingress": noController, "kafka": `{"secure": true}`}}
	declared, err := manifest.Run(Program(f.host, stack.config(t)), manifest.Stack{Project: config.Project, Name: stack.file, Preview: preview})
	if err != nil {
		t.Fatal(err)
	}
	kept := false // by ignoring what the program declares
	for _, r := range declared {
		if r.Name != kafka.CertificateSecret || preview {
			continue
		}
		if kept = len(r.Ignored) > 0; kept {
			continue
		}
		f.stored.data = map[string]string{}
		for key, value := range r.Inputs["data"].SecretValue().Element.ObjectValue() {
			f.stored.data[string(key)] = value.StringValue()
		}
	}
	for _, r := range declared {
		if r.Name != startedName || preview || early {
			continue
		}
		f.stored.started = r.Inputs["data"].ObjectValue()[startedKey].StringValue()
		if kept {
			f.stored.started = secret.ChecksumOf(f.stored.data)
		}
	}
	for _, p := range podTemplates(t, declared) {
		if p.name == kafka.Name {
			return declared, p.meta.Annotations[secret.ChecksumAnnotation]
		}
	}
	t.Fatal("there are no nodes")
	return nil, ""
}

func (f *fleet) keys() []string { return slices.Sorted(maps.Keys(f.stored.data)) }

func old(t *testing.T, age time.Duration) secret.Pair {
	t.Helper()
	pair, err := secret.Certificate(kafka.NodeName, kafka.Hosts(plan.DataNamespace, "cluster.local"), time.Now().Add(-age))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

const years = 365 * 24 * time.Hour

func TestACertificateThatEndsSoonIsRenewedByThreeUps(t *testing.T) {
	first := old(t, 5*years-30*24*time.Hour)
	f := newFleet(t, first)
	_, before := f.up(t, true, false)
	if len(f.keys()) != 2 {
		t.Fatal("a preview changes the certificate")
	}

	_, trusting := f.up(t, false, true)
	if !slices.Equal(f.keys(), []string{kafka.AuthorityKey, nextKey, kafka.CombinedKey}) || trusting == before {
		t.Fatalf("the first up leaves %v", f.keys())
	}
	// It was cut off before everybody was started: the same step again, and nobody anew who was.
	_, again := f.up(t, false, false)
	if again != trusting || !slices.Contains(f.keys(), nextKey) {
		t.Fatalf("the second up goes on although not everybody trusts the next authority: %v", f.keys())
	}
	_, showing := f.up(t, false, false)
	if len(f.keys()) != 2 || showing == trusting {
		t.Fatalf("the third up leaves %v", f.keys())
	}
	_, done := f.up(t, false, false)
	if done == showing {
		t.Error("nobody is told to trust the former authority no more")
	}
	authority, err := base64.StdEncoding.DecodeString(f.stored.data[kafka.AuthorityKey])
	if err != nil || strings.Count(string(authority), "BEGIN CERTIFICATE") != 1 || string(authority) == first.Authority {
		t.Errorf("trusted is\n%s", authority)
	}
	declared, _ := f.up(t, false, false)
	for _, r := range declared {
		if r.Name == kafka.CertificateSecret && len(r.Ignored) != 2 {
			t.Errorf("an up after the renewal doesn't keep what there is: it ignores %v", r.Ignored)
		}
	}
}

func TestACertificateThatLastsIsKept(t *testing.T) {
	f := newFleet(t, old(t, 4*years))
	declared, _ := f.up(t, false, false)
	for _, r := range declared {
		if r.Name == kafka.CertificateSecret && len(r.Ignored) != 2 {
			t.Errorf("it ignores %v", r.Ignored)
		}
	}
}

func TestAPreviewWithoutAClusterKeepsTheCertificate(t *testing.T) {
	f := newFleet(t, old(t, 6*years))
	f.host.kafkaCertificate = func(string) (storedCertificate, error) { return storedCertificate{}, errors.New("no route to host") }
	f.up(t, true, false)
	stack := testStack{file: "dev", settings: map[string]string{"addons": noAddons, "ingress": noController, "kafka": `{"secure": true}`}}
	_, err := manifest.Run(Program(f.host, stack.config(t)), manifest.Stack{Project: config.Project, Name: stack.file})
	if err == nil || !strings.Contains(err.Error(), "no route to host") {
		t.Errorf("an up goes on without the cluster: %v", err)
	}
}

// The checksum is written down after all who read the certificate were started.
func TestWhoWasStartedIsWrittenDownLast(t *testing.T) {
	f := newFleet(t, old(t, 0))
	declared, _ := f.up(t, false, false)
	maps := objects[corev1.ConfigMap](t, declared, "ConfigMap")
	if _, ok := maps[startedName]; !ok {
		t.Fatalf("there is no %s", startedName)
	}
	for _, r := range declared {
		if r.Name != startedName {
			continue
		}
		for _, workload := range []string{plan.WebServer, plan.ManagementAPI, plan.API, plan.Producer, plan.Consumer} {
			if !slices.ContainsFunc(r.Dependencies, func(urn string) bool { return strings.HasSuffix(urn, "Deployment::"+workload) }) {
				t.Errorf("it doesn't wait for %s: %v", workload, r.Dependencies)
			}
		}
	}
}
