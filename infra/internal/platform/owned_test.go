package platform

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
)

func TestForeignNamespaces(t *testing.T) {
	const ours = `"labels": {"app.kubernetes.io/part-of": "shopstream", "app.kubernetes.io/managed-by": "pulumi"}`
	for name, test := range map[string]struct {
		metadata string
		refused  string // in the error; empty if there is none
	}{
		"another name":                   {`"name": "default"`, ""},
		"made by this stack":             {`"name": "monitoring", ` + ours + `, "annotations": {"shopstream/stack": "shopstream/dev"}`, ""},
		"made before stacks were noted":  {`"name": "monitoring", ` + ours, ""},
		"made by another stack":          {`"name": "monitoring", ` + ours + `, "annotations": {"shopstream/stack": "shopstream/prod"}`, `belongs to the stack "shopstream/prod"`},
		"made by hand":                   {`"name": "monitoring"`, "no stack of this program has created it"},
		"made by another pulumi program": {`"name": "monitoring", "labels": {"app.kubernetes.io/managed-by": "pulumi"}`, "no stack of this program has created it"},
	} {
		t.Run(name, func(t *testing.T) {
			var ns existingNamespace
			if err := json.Unmarshal([]byte(`{"metadata": {`+test.metadata+`}}`), &ns); err != nil {
				t.Fatal(err)
			}
			err := foreign([]existingNamespace{ns}, []string{"shop", "monitoring"}, "shopstream/dev")
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("got %v, want %q", err, test.refused)
			}
		})
	}
}

func TestNothingIsDeclaredBesideAForeignNamespace(t *testing.T) {
	for _, preview := range []bool{true, false} {
		h := testHost(t)
		h.namespaces = func(string) ([]existingNamespace, error) {
			var theirs existingNamespace
			theirs.Metadata.Name = "keda"
			return []existingNamespace{theirs}, nil
		}
		settings := testStacks()[0].config(t)
		declared, err := manifest.Run(Program(h, settings), manifest.Stack{Project: config.Project, Name: "dev", Preview: preview})
		if err == nil || !strings.Contains(err.Error(), `nothing was changed`) || len(declared) > 0 {
			t.Errorf("preview %v: %d resources, %v", preview, len(declared), err)
		}
	}
}

func TestOnlyAPreviewContinuesWithoutACluster(t *testing.T) {
	h := testHost(t)
	h.namespaces = func(string) ([]existingNamespace, error) { return nil, fmt.Errorf("nobody answers") }
	settings := testStacks()[0].config(t)
	for preview, want := range map[bool]string{true: "", false: "nobody answers"} {
		_, err := manifest.Run(Program(h, settings), manifest.Stack{Project: config.Project, Name: "dev", Preview: preview})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("preview %v: %v, want %q", preview, err, want)
		}
	}
}
