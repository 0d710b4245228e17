package platform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"shopstream/infra/internal/manifest"
)

// TestAnotherVolumeSizeReplacesNothing: the provider would delete the StatefulSet or the claim first, with the volumes.
func TestAnotherVolumeSizeReplacesNothing(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for _, r := range declared {
			if r.Type == "kubernetes:apps/v1:StatefulSet" && !slices.Contains(r.Ignored, "spec.volumeClaimTemplates") ||
				r.Type == "kubernetes:core/v1:PersistentVolumeClaim" && !slices.Contains(r.Ignored, "spec") {
				t.Errorf("a change of the volumes of %s %q isn't ignored, but of %q", r.Type, r.Name, r.Ignored)
			}
		}
	})
}

// TestEveryClaimGrows: the template of the claims can't be changed, so each claim is resized afterwards.
func TestEveryClaimGrows(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		sizes := map[string]string{}
		for _, r := range declared {
			if r.Type == "kubernetes:core/v1:PersistentVolumeClaimPatch" {
				sizes[r.Name] = r.Inputs["spec"].ObjectValue()["resources"].ObjectValue()["requests"].ObjectValue()["storage"].StringValue()
			}
		}
		claims := 0
		for name, set := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			template := set.Spec.VolumeClaimTemplates[0]
			for i := range int(*set.Spec.Replicas) {
				claims++
				claim := fmt.Sprintf("%s-%s-%d", template.Name, name, i)
				if want := template.Spec.Resources.Requests.Storage().String(); sizes[claim] != want {
					t.Errorf("claim %s grows to %q, want %q", claim, sizes[claim], want)
				}
			}
		}
		for name, claim := range objects[corev1.PersistentVolumeClaim](t, declared, "PersistentVolumeClaim") {
			claims++
			if want := claim.Spec.Resources.Requests.Storage().String(); sizes[name] != want {
				t.Errorf("claim %s grows to %q, want %q", name, sizes[name], want)
			}
		}
		if len(sizes) != claims {
			t.Errorf("%d claims grow, and there are %d", len(sizes), claims)
		}
	})
}

// TestVolumesAreKeptWithWhatTheyNeed: with the volumes, their namespace and the passwords for their content are kept, and
// nothing else: pulumi also keeps what a protected resource depends on.
func TestVolumesAreKeptWithWhatTheyNeed(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		var want []string
		if c.KeepVolumes {
			want = []string{"Namespace shop-data", "NetworkPolicy shop-data-deny-all"}
			if !c.Mongo.External {
				want = append(want, "PersistentVolumeClaim mongodb-backups", "Secret mongodb-admin")
			}
		}
		before := dependencies(declared)
		var kept []string
		for _, r := range declared {
			spared := r.Protected || slices.ContainsFunc(declared, func(other manifest.Resource) bool {
				return other.Protected && before[other.URN][r.URN]
			})
			if spared && r.Custom && strings.HasPrefix(r.Type, "kubernetes:") {
				kept = append(kept, r.Type[strings.LastIndex(r.Type, ":")+1:]+" "+r.Name)
			}
		}
		slices.Sort(kept)
		if !slices.Equal(kept, want) {
			t.Errorf("make down leaves %q, want %q", kept, want)
		}
		for name, s := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			policy := s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted
			if retained := policy == appsv1.RetainPersistentVolumeClaimRetentionPolicyType; retained != c.KeepVolumes {
				t.Errorf("%s: the claims' fate is %q, and keepVolumes is %v", name, policy, c.KeepVolumes)
			}
		}
	})
}
