// Package job runs a suspended CronJob once, by kubectl.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxFailures is how many times in a row asking for the state of the Job, once a second, may fail.
const maxFailures = 60

// Kubectl runs kubectl with these arguments, and returns what it prints.
type Kubectl func(ctx context.Context, stdin string, arguments ...string) (string, error)

// Job is one run of a CronJob.
type Job struct {
	Namespace, CronJob, Name string

	// Arguments replace those of the container; nil keeps the CronJob's.
	Arguments []string

	// Timeout is how long to wait for its end. The Job itself goes on after that.
	Timeout time.Duration
}

// Run creates the Job and waits for its end. It returns the Job's log, also with an error if there is one.
func (j Job) Run(ctx context.Context, kubectl Kubectl) (log string, err error) {
	declared, err := kubectl(ctx, "", "-n", j.Namespace, "create", "job", j.Name, "--from=cronjob/"+j.CronJob, "--dry-run=client", "-o", "json")
	if err != nil {
		return "", fmt.Errorf("creating a Job from the CronJob %s, which make up declares: %w", j.CronJob, err)
	}
	if len(j.Arguments) > 0 {
		if declared, err = withArguments(declared, j.Arguments); err != nil {
			return "", err
		}
	}
	if _, err := kubectl(ctx, declared, "create", "-f", "-"); err != nil {
		return "", fmt.Errorf("creating the Job %s: %w", j.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	failures := 0
	for {
		outcome, err := kubectl(ctx, "", "-n", j.Namespace, "get", "job", j.Name, "-o", `jsonpath={range .status.conditions[?(@.status=="True")]}{.type}{"\n"}{end}`)
		failed := strings.Contains(outcome, "Failed\n")
		switch {
		case ctx.Err() != nil:
			return "", fmt.Errorf("no longer waiting for the Job %s, which goes on: kubectl -n %s logs -f job/%s", j.Name, j.Namespace, j.Name)
		case err != nil:
			if failures++; failures == maxFailures {
				return "", fmt.Errorf("asking for the state of the Job %s: %w", j.Name, err)
			}
		case failed || strings.Contains(outcome, "Complete\n"):
			log, err := kubectl(ctx, "", "-n", j.Namespace, "logs", "-l", "batch.kubernetes.io/job-name="+j.Name, "--tail=-1")
			if failed {
				err = errors.Join(fmt.Errorf("the Job %s has failed; its log says why", j.Name), err)
			}
			return log, err
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// withArguments replaces the arguments of the container of a Job in JSON.
func withArguments(declared string, arguments []string) (string, error) {
	var job map[string]any
	if err := json.Unmarshal([]byte(declared), &job); err != nil {
		return "", fmt.Errorf("reading the Job that kubectl declares: %w", err)
	}
	var value any = job
	for _, key := range []string{"spec", "template", "spec"} {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	object, _ := value.(map[string]any)
	containers, _ := object["containers"].([]any)
	if len(containers) != 1 {
		return "", fmt.Errorf("reading the Job that kubectl declares: %d containers, want 1", len(containers))
	}
	container, _ := containers[0].(map[string]any)
	container["args"] = arguments
	changed, err := json.Marshal(job)
	if err != nil {
		return "", fmt.Errorf("writing the Job: %w", err)
	}
	return string(changed), nil
}
