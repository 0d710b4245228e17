package platform

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/refuse"
)

// hooks are the hooks that a program has registered, by name.
type hooks map[string]pulumi.ResourceHookFunction

func (h hooks) register(_ *pulumi.Context, name string, call pulumi.ResourceHookFunction) (*pulumi.ResourceHook, error) {
	h[name] = call
	return nil, nil
}

// settingsOf runs a stack and returns the settings that it records, and its hooks.
func settingsOf(t *testing.T, pairs map[string]string) (resource.PropertyMap, hooks) {
	t.Helper()
	h, registered := testHost(t), hooks{}
	h.hook = registered.register
	stack := testStack{file: "dev", settings: pairs}
	declared, err := manifest.Run(Program(h, stack.config(t)), manifest.Stack{Project: config.Project, Name: stack.file})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range declared {
		if r.Name == settingsName {
			return r.Inputs, registered
		}
	}
	t.Fatal("the settings are not written down")
	return nil, nil
}

func TestAHarmfulChangeIsRefused(t *testing.T) {
	before, _ := settingsOf(t, nil)
	now, registered := settingsOf(t, map[string]string{"kafka": `{"secure": true}`})
	refuse := registered["refuse-changes"]
	if refuse == nil {
		t.Fatalf("hooks: %v", registered)
	}
	if err := refuse(&pulumi.ResourceHookArgs{OldInputs: before, NewInputs: now}); err == nil || !strings.Contains(err.Error(), "kafka.secure") {
		t.Errorf("err = %v", err)
	}
	if err := refuse(&pulumi.ResourceHookArgs{OldInputs: now, NewInputs: now}); err != nil {
		t.Errorf("nothing changes: %v", err)
	}
}

func TestAnAcceptedChangeIsMade(t *testing.T) {
	before, _ := settingsOf(t, nil)
	now, registered := settingsOf(t, map[string]string{"topics": `{"orders": {"name": "sales"}}`, "accept": `["topics.orders.name"]`})
	if err := registered["refuse-changes"](&pulumi.ResourceHookArgs{OldInputs: before, NewInputs: now}); err != nil {
		t.Error(err)
	}
}

func TestVolumesGrowIfTheirClassAllowsIt(t *testing.T) {
	yes := true
	class := func(expandable *bool) storagev1.StorageClass {
		return storagev1.StorageClass{
			ObjectMeta:           metav1.ObjectMeta{Name: "standard", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
			AllowVolumeExpansion: expandable,
		}
	}
	for name, test := range map[string]struct {
		classes []storagev1.StorageClass
		err     error
		want    string
	}{
		"it does":        {classes: []storagev1.StorageClass{class(&yes)}},
		"it doesn't":     {classes: []storagev1.StorageClass{class(nil)}, want: "kafka.storage: the volumes can't grow"},
		"there is none":  {want: "no allowVolumeExpansion"},
		"nobody answers": {err: errors.New("connection refused"), want: "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			h := testHost(t)
			h.storageClasses = func(string) ([]storagev1.StorageClass, error) { return test.classes, test.err }
			_, err := manifest.Run(func(ctx *pulumi.Context) error {
				return platform{host: h}.checkExpandable(ctx, []refuse.Growth{{Key: "kafka.storage"}})
			}, manifest.Stack{Project: config.Project, Name: "dev"})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
}

// TestNothingIsTouchedBeforeTheSettingsAreCompared: the provider depends on the comparison, and all objects on the provider; no
// image is built for an up that is refused.
func TestNothingIsTouchedBeforeTheSettingsAreCompared(t *testing.T) {
	declared := testStacks()[0].run(t)
	before := dependencies(declared)
	settings, after := "urn:pulumi:dev::shopstream::pulumi:index:Stash::settings", 0
	for _, r := range declared {
		if r.Type != "pulumi:providers:kubernetes" && r.Type != "docker:index/image:Image" {
			continue
		}
		after++
		if !before[r.URN][settings] {
			t.Errorf("%s %q comes after %q, want %q", r.Type, r.Name, r.Dependencies, settings)
		}
	}
	if after < 2 {
		t.Errorf("there are %d providers and images", after)
	}
}

// The data are asked before anything is changed, and a preview that can't ask says so.
func TestAMongoDBThatCantOpenTheDataIsRefused(t *testing.T) {
	was, _ := settingsOf(t, map[string]string{"mongo": `{"image": "mongo:7.0.4"}`})
	is, _ := settingsOf(t, map[string]string{"mongo": `{"image": "mongo:8.0.1"}`})
	for name, test := range map[string]struct {
		answer  string
		fault   error
		preview bool
		want    string
	}{
		"of the version before":         {"7.0", nil, false, ""},
		"of an older one":               {"6.0", nil, false, "featureCompatibilityVersion is 6.0"},
		"an up without an answer":       {"", errors.New("no such pod"), false, "no such pod"},
		"a preview without an answer":   {"", errors.New("no such pod"), true, ""},
		"a preview that gets an answer": {"6.0", nil, true, "featureCompatibilityVersion is 6.0"},
	} {
		t.Run(name, func(t *testing.T) {
			h, registered := testHost(t), hooks{}
			h.hook = registered.register
			h.compatibility = func(string) (string, error) { return test.answer, test.fault }
			stack := testStack{file: "dev", settings: map[string]string{"mongo": `{"image": "mongo:8.0.1"}`}}
			_, err := manifest.Run(Program(h, stack.config(t)), manifest.Stack{Project: config.Project, Name: stack.file, Preview: test.preview})
			if err != nil {
				t.Fatal(err)
			}
			err = registered["refuse-changes"](&pulumi.ResourceHookArgs{OldInputs: was, NewInputs: is})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
}
