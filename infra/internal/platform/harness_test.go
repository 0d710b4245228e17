package platform

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/secret"
)

// testHost has sources that never change and a Docker daemon that answers, and touches nothing outside the test.
func testHost(t *testing.T) Host {
	t.Helper()
	sources := fstest.MapFS{"Dockerfile": {}, "internal/go.mod": {}}
	for _, name := range []string{plan.WebServer, plan.ManagementAPI, plan.API, plan.Producer, plan.Consumer, plan.TopicsJob, kafka.GuardName, mongo.BackupProgram} {
		sources[name+"/main.go"] = &fstest.MapFile{Data: []byte("package main // " + name)}
	}
	return Host{
		services:       func(string) fs.FS { return sources },
		staging:        t.TempDir(),
		daemon:         func(string) error { return nil },
		dockerHost:     func(host string) string { return host },
		chart:          func(addon.Chart) error { return nil },
		loader:         func([]string) image.Load { return nil },
		unlocker:       func(string) addon.Unlock { return nil },
		namespaces:     func(string) ([]existingNamespace, error) { return nil, nil },
		storageClasses: func(string) ([]storagev1.StorageClass, error) { return nil, nil },
		compatibility:  func(string) (string, error) { return "8.0", nil },
		random:         zeros{},

		kafkaCertificate: func(string) (storedCertificate, error) { return storedCertificate{}, nil },
		issue:            func([]string) (secret.Pair, error) { return secret.Pair{}, nil },
	}
}

// testStack is a configuration to test the program with.
type testStack struct {
	name     string
	file     string
	settings map[string]string // override the file's; objects are written as JSON
}

// testStacks are all committed stacks, and configurations that declare a considerably different platform.
func testStacks() []testStack {
	token := map[string]string{"apiToken": "0123456789abcdef"}
	external := maps.Clone(token)
	external["mongo"] = `{"external": true, "externalAddresses": ["192.0.2.0/24"]}`
	external["mongoUri"] = "mongodb+srv://shop:secret@db.example.com/"
	kafka := maps.Clone(external)
	kafka["kafka"] = externalKafka
	kafka["kafkaCredentials"] = `{"default": {"username": "shop", "password": "of the shop"}, "topics": {"username": "owner", "password": "of the owner"}}`
	kafka["tracing"] = `{"endpoint": "https://otlp.example.com", "addresses": ["198.18.0.0/24"]}`
	return []testStack{
		{name: "dev", file: "dev"},
		{name: "small", file: "small"},
		{name: "prod", file: "prod", settings: token},
		{name: "prod with an external database", file: "prod", settings: external},
		{name: "prod with an external kafka", file: "prod", settings: kafka},
		{name: "dev with an open kafka", file: "dev", settings: map[string]string{
			"addons": noAddons, "ingress": noController,
			"kafka": `{"external": {"bootstrapServers": ["kafka.kafka.svc.cluster.local:9092"], "namespace": "kafka", "tls": false, "replicationFactor": 1}}`,
		}},
		{name: "dev with backups and traces", file: "dev", settings: map[string]string{"addons": onlyJaeger, "ingress": noController, "mongo": toBucket,
			"tracing":         `{"sampling": 10, "url": "https://traces.example.com/trace/{id}"}`,
			"backupAccessKey": "AKIDEXAMPLE0", "backupSecretKey": "wJalrXUtnFEMI0"}},
		{name: "dev through a gateway", file: "dev", settings: map[string]string{"ingress": `{"controller": "traefik"}`,
			"tracing": `{"endpoint": "http://collector.tracing:4318", "namespace": "tracing", "sampling": 5}`}},
		{name: "dev without addons", file: "dev", settings: map[string]string{"addons": noAddons, "ingress": noController}},
		// The tests on real brokers use these.
		{name: "dev secured", file: "dev", settings: map[string]string{"addons": noAddons, "ingress": noController, "kafka": `{"secure": true}`}},
	}
}

const (
	onlyJaeger    = `{"keda": false, "metricsServer": false, "prometheus": false, "jaeger": true}`
	noAddons      = `{"keda": false, "metricsServer": false, "prometheus": false}`
	externalKafka = `{"external": {"bootstrapServers": ["b-1.kafka.example.com:9096", "b-2.kafka.example.com:9096"], "addresses": ["198.51.100.0/24"],
		"sasl": "SCRAM-SHA-512", "authority": "` + authorityOfNobody + `"}}`
	toBucket     = `{"backup": {"schedule": "30 2 * * *", "s3": {"bucket": "dumps", "endpoint": "https://store.example.com:9000"}}}`
	noController = `{"controller": "none", "class": "nginx", "namespace": "ingress-nginx"}`
)

// authorityOfNobody is a certificate in JSON, valid for a hundred years.
const authorityOfNobody = `-----BEGIN CERTIFICATE-----\n` +
	`MIIBijCCATGgAwIBAgIUYxF3qVIZbGlEee4Q+QlXhKCfn1owCgYIKoZIzj0EAwIw\n` +
	`GjEYMBYGA1UEAwwPa2Fma2EgYXV0aG9yaXR5MCAXDTI2MTEyNTE1MDMyMVoYDzIx\n` +
	`MjYxMTAxMTUwMzIxWjAaMRgwFgYDVQQDDA9rYWZrYSBhdXRob3JpdHkwWTATBgcq\n` +
	`hkjOPQIBBggqhkjOPQMBBwNCAASBDUws+TSeZH3DX24tcAAbjRyabXgyfTbE/A6G\n` +
	`RQhfSLKfbz+xbOzm7zxvO/Ya/YcS+oQa+yaUunoZXl7Qr+kno1MwUTAdBgNVHQ4E\n` +
	`FgQU+kDnyydgXN3Xyg5G84vQeN1kMjowHwYDVR0jBBgwFoAU+kDnyydgXN3Xyg5G\n` +
	`84vQeN1kMjowDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBG54Y2\n` +
	`krBltFOZ2BL3GKB9Y8xeb1rInjN3Nj30gqvJuAIgaI/wtrlik0fpAzl7J7DdVNPz\n` +
	`/gI9wmzFwePURWWZyuU=\n` +
	`-----END CERTIFICATE-----\n`

func (s testStack) config(t *testing.T) map[string]string {
	t.Helper()
	settings, err := config.ReadStackFile(filepath.Join("..", "..", "..", "Pulumi."+s.file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(settings, s.settings)
	return settings
}

// parsed returns the stack's configuration as the program sees it.
func (s testStack) parsed(t *testing.T) (config.Config, config.Secrets) {
	t.Helper()
	c, secrets, err := config.Load(s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return c, secrets
}

// run runs the whole program.
func (s testStack) run(t *testing.T) resources {
	t.Helper()
	recorded, err := manifest.Run(Program(testHost(t), s.config(t)), manifest.Stack{Project: config.Project, Name: s.file})
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

// eachStack runs a test on what every stack declares.
func eachStack(t *testing.T, test func(t *testing.T, stack testStack, declared resources)) {
	t.Helper()
	for _, stack := range testStacks() {
		t.Run(stack.name, func(t *testing.T) { test(t, stack, stack.run(t)) })
	}
}

type resources []manifest.Resource

// objects returns the Kubernetes objects of one kind, with their type.
func objects[T any](t *testing.T, declared resources, kind string) map[string]T {
	t.Helper()
	found := map[string]T{}
	for _, m := range manifest.Of(declared) {
		if m.Object["kind"] != kind {
			continue
		}
		encoded, err := json.Marshal(m.Object)
		if err != nil {
			t.Fatal(err)
		}
		var object T
		decoder := json.NewDecoder(strings.NewReader(string(encoded)))
		// The recorder accepts anything; the API server would not.
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("%s: %v", m.Path, err)
		}
		metadata, _ := m.Object["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		found[name] = object
	}
	return found
}

// podTemplate is the pod template of one workload.
type podTemplate struct {
	kind, name, namespace string
	meta                  metav1.ObjectMeta
	spec                  corev1.PodSpec
	replicas              int
}

// containers returns those that run as long as the pod does: regular ones and sidecars.
func (p podTemplate) containers() []corev1.Container {
	return append(slices.Clone(p.spec.InitContainers), p.spec.Containers...)
}

// podTemplates returns the templates of all pods that the program itself declares.
func podTemplates(t *testing.T, declared resources) []podTemplate {
	t.Helper()
	var found []podTemplate
	add := func(kind string, meta metav1.ObjectMeta, template corev1.PodTemplateSpec, replicas int) {
		found = append(found, podTemplate{
			kind: kind, name: meta.Name, namespace: meta.Namespace,
			meta: template.ObjectMeta, spec: template.Spec, replicas: replicas,
		})
	}
	for _, d := range objects[appsv1.Deployment](t, declared, "Deployment") {
		add("Deployment", d.ObjectMeta, d.Spec.Template, 0)
	}
	for _, s := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
		add("StatefulSet", s.ObjectMeta, s.Spec.Template, int(*s.Spec.Replicas))
	}
	for _, j := range objects[batchv1.Job](t, declared, "Job") {
		add("Job", j.ObjectMeta, j.Spec.Template, 1)
	}
	for _, c := range objects[batchv1.CronJob](t, declared, "CronJob") {
		add("Job", c.ObjectMeta, c.Spec.JobTemplate.Spec.Template, 1)
	}
	if len(found) == 0 {
		t.Fatal("the program declares no pods")
	}
	slices.SortFunc(found, func(a, b podTemplate) int { return strings.Compare(a.name, b.name) })
	return found
}

// environment returns the variables of a workload, or of a container, by name. The name of a Job ends in a digest: use that of
// its container.
func environment(t *testing.T, declared resources, workload string) map[string]corev1.EnvVar {
	t.Helper()
	for _, p := range podTemplates(t, declared) {
		for _, c := range p.containers() {
			if own := p.spec.Containers[0].Name == c.Name; c.Name != workload && (!own || p.name != workload) {
				continue
			}
			env := map[string]corev1.EnvVar{}
			for _, e := range c.Env {
				env[e.Name] = e
			}
			return env
		}
	}
	t.Fatalf("there is no workload %q", workload)
	return nil
}
