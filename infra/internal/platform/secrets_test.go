package platform

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"shopstream/infra/internal/manifest"
)

func TestSecretsAreSecret(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		secrets := 0
		for _, r := range declared {
			if r.Type != "kubernetes:core/v1:Secret" {
				continue
			}
			secrets++
			data := r.Inputs["data"]
			if data.IsSecret() {
				continue
			}
			for key, value := range data.ObjectValue() {
				if !value.IsSecret() {
					t.Errorf("%s: %s stands in plain in the state", r.Name, key)
				}
			}
		}
		if secrets == 0 {
			t.Error("there are no secrets")
		}
		token := stack.settings["apiToken"]
		for _, m := range manifest.Of(declared) {
			encoded, err := json.Marshal(m.Object)
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range []string{token, strings.Repeat("00", 24), stack.settings["mongoUri"], "of the shop", "of the owner"} {
				if value != "" && strings.Contains(string(encoded), value) {
					t.Errorf("%s holds a secret", m.Path)
				}
			}
		}
	})
}

func TestGeneratedSecretsAreKept(t *testing.T) {
	for _, r := range testStacks()[0].run(t) {
		if r.Name != "mongodb-admin" {
			continue
		}
		want := []string{`data["app-password"]`, `data["keyfile"]`, `data["password"]`}
		if got := slices.Sorted(slices.Values(r.Ignored)); !slices.Equal(got, want) {
			t.Errorf("changes of %q are ignored, want %q: a second run would make up new ones", got, want)
		}
		return
	}
	t.Error("there is no secret mongodb-admin")
}

// TestOnlyNamespacesGrantSecrets: a right to read all Secrets of a cluster is a right to everything.
func TestOnlyNamespacesGrantSecrets(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for name, role := range objects[rbacv1.ClusterRole](t, declared, "ClusterRole") {
			for _, rule := range role.Rules {
				if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Verbs, "*") {
					t.Errorf("%s may %v %v of every namespace", name, rule.Verbs, rule.Resources)
				}
			}
		}
	})
}
