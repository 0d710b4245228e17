package platform

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	batchv1 "k8s.io/api/batch/v1"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/job"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/plan"
)

// set is the inputs of a StatefulSet of so many pods.
func set(replicas int) resource.PropertyMap {
	return resource.NewPropertyMapFromMap(map[string]any{"spec": map[string]any{"replicas": replicas}})
}

// runner says what comes of Jobs, and notes those that are run.
type runner struct {
	log string
	err error
	ran []job.Job
}

func (c *runner) run(_ string, run job.Job) (string, error) {
	c.ran = append(c.ran, run)
	return c.log, c.err
}

// hooksOn runs the dev stack, in an up or in a preview, and returns its hooks.
func hooksOn(t *testing.T, c *runner, preview bool) hooks {
	t.Helper()
	h, registered := testHost(t), hooks{}
	h.hook, h.run = registered.register, c.run
	stack := testStack{file: "dev"}
	_, err := manifest.Run(Program(h, stack.config(t)), manifest.Stack{Project: config.Project, Name: stack.file, Preview: preview})
	if err != nil {
		t.Fatal(err)
	}
	return registered
}

func TestBrokersAreDrainedBeforeTheyAreRemoved(t *testing.T) {
	for name, test := range map[string]struct {
		was, is resource.PropertyMap
		preview bool
		runner  runner
		runs    int
		want    string
	}{
		"fewer":               {was: set(5), is: set(3), runs: 1},
		"fewer, in a preview": {was: set(5), is: set(3), preview: true},
		"more":                {was: set(3), is: set(5)},
		"as many":             {was: set(3), is: set(3)},
		"nobody knows":        {was: set(3), is: resource.PropertyMap{}},
		"they can't be drained": {
			was: set(4), is: set(3), runner: runner{log: "one\ntwo\nbroker 1 is down\n", err: errors.New("the Job kafka-drain has failed")}, runs: 1,
			want: "no broker was removed, since broker 3 could not be drained; the next up continues: the Job kafka-drain has failed\none\ntwo\nbroker 1 is down",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.runner
			err := hooksOn(t, &c, test.preview)["drain-brokers"](&pulumi.ResourceHookArgs{OldInputs: test.was, NewInputs: test.is})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if len(c.ran) != test.runs {
				t.Fatalf("ran %+v", c.ran)
			}
			if test.runs > 0 && (c.ran[0].CronJob != kafka.AdminName || strings.Join(c.ran[0].Arguments, " ") != "drain") {
				t.Errorf("ran %+v", c.ran[0])
			}
		})
	}
}

// TestTheDrainIsToldHowManyBrokersStay: the StatefulSet is changed after the CronJob that the drain is made from.
func TestTheDrainIsToldHowManyBrokersStay(t *testing.T) {
	declared := testStack{file: "dev", settings: map[string]string{"kafka": `{"brokers": 4}`, "cluster": `{"nodeCpu": "8", "nodeMemory": "12Gi"}`}}.run(t)
	if got := environment(t, declared, kafka.AdminName)["BROKERS"].Value; got != "4" {
		t.Errorf("the drain leaves %q brokers", got)
	}
	var admin string
	for _, r := range declared {
		if r.Name == kafka.AdminName {
			admin = r.URN
		}
	}
	for _, r := range declared {
		if r.Name == kafka.Name && r.Type == "kubernetes:apps/v1:StatefulSet" && !strings.Contains(strings.Join(r.Dependencies, " "), admin) {
			t.Errorf("the brokers come after %q, want %q", r.Dependencies, admin)
		}
	}
}

// kubectl gives a Job the labels of the template, and make status selects the Jobs by them.
func TestJobsForKafkaAreFoundByTheirLabels(t *testing.T) {
	declared := testStacks()[0].run(t)
	found := map[string]map[string]string{}
	for name, c := range objects[batchv1.CronJob](t, declared, "CronJob") {
		found[name] = c.Spec.JobTemplate.Labels
	}
	for name, j := range objects[batchv1.Job](t, declared, "Job") {
		if j.Namespace == plan.AppNamespace {
			found[name] = j.Labels
		}
	}
	if len(found) != 3 {
		t.Errorf("the Jobs are %v, want those that declare topics, drain and finalize", found)
	}
	for name, labels := range found {
		if labels["app.kubernetes.io/name"] != kafka.TopicsName {
			t.Errorf("%s has the labels %v", name, labels)
		}
	}
}

func TestAnUpAsksForTheFeaturesBeforeAnOlderKafka(t *testing.T) {
	before, _ := settingsOf(t, map[string]string{"kafka": `{"image": "apache/kafka:4.4.0"}`})
	now, _ := settingsOf(t, nil)
	for name, test := range map[string]struct {
		preview bool
		runner  runner
		runs    int
		want    string
	}{
		"not finalized":  {runner: runner{log: `{"metadata.version":30}`}, runs: 1},
		"finalized":      {runner: runner{log: `{"metadata.version":33}`}, runs: 1, want: "kafka.image: apache/kafka:4.4.0 → apache/kafka:4.3.1"},
		"nobody answers": {runner: runner{err: errors.New("no such cluster")}, runs: 1, want: `add "kafka.image" to accept`},
		"in a preview":   {preview: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.runner
			err := hooksOn(t, &c, test.preview)["refuse-changes"](&pulumi.ResourceHookArgs{OldInputs: before, NewInputs: now})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if len(c.ran) != test.runs {
				t.Errorf("ran %+v", c.ran)
			}
		})
	}
}
