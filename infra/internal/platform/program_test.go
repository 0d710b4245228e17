package platform

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
)

func TestGoldenManifests(t *testing.T) {
	for _, stack := range testStacks() {
		t.Run(stack.name, func(t *testing.T) {
			got, err := manifest.Text(manifest.Of(stack.run(t)))
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "../../testdata/manifests/"+strings.ReplaceAll(stack.name, " ", "-")+".yaml", got)
		})
	}
}

func TestResourcesBelongToTheirComponents(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		names := map[string]bool{}
		for _, r := range declared {
			if names[r.URN] {
				t.Errorf("%s is declared twice", r.URN)
			}
			names[r.URN] = true
			if r.Custom && strings.HasPrefix(r.Type, "kubernetes:") && !strings.Contains(r.Type, "helm.sh") && r.Parent == "" {
				t.Errorf("%s has no parent", r.URN)
			}
		}
	})
}

func TestImagesAreBuiltOnceForEachService(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		built := map[string]string{}
		for _, r := range declared {
			if r.Type == "docker:index/image:Image" {
				built[r.Inputs["imageName"].StringValue()] = r.Name
			}
		}
		used := map[string]bool{}
		for _, p := range podTemplates(t, declared) {
			for _, c := range p.containers() {
				if p.namespace != plan.AppNamespace && c.Name != kafka.GuardName && c.Name != mongo.BackupProgram {
					continue // the image of another service
				}
				used[c.Image] = true
				if built[c.Image] == "" {
					t.Errorf("%s runs %q, which is not built", p.name, c.Image)
				}
			}
		}
		if got, want := slices.Sorted(maps.Keys(built)), slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) {
			t.Errorf("built %q, used %q", got, want)
		}
	})
}
