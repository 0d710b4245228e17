package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
)

// jobPatience is longer than a Job of the dumps may take, with all its attempts.
const jobPatience = 5 * time.Hour

// backup dumps the purchases now, and waits.
func (p *platform) backup(ctx context.Context) error {
	if err := p.needBackups(ctx); err != nil {
		return err
	}
	return p.runJob(ctx, mongo.BackupName)
}

// restore inserts into a database what it lacks of a dump. Without a dump it lists them.
func (p *platform) restore(ctx context.Context) error {
	if err := p.needBackups(ctx); err != nil {
		return err
	}
	dump, into := p.getenv("BACKUP"), p.getenv("INTO")
	if dump == "" {
		if err := p.runJob(ctx, mongo.RestoreName, "list"); err != nil {
			return err
		}
		p.say("To restore one: make restore STACK=%s BACKUP=name, and INTO=database for another one than %s", p.stack, p.config.Mongo.Database)
		return nil
	}
	if into == "" {
		into = p.config.Mongo.Database
	}
	if err := p.checkConsent(); err != nil {
		return err
	}
	if p.asks() {
		if err := p.ask(fmt.Sprintf("Insert into the database %s of stack %s what it lacks of %s?", into, p.stack, dump)); err != nil {
			return err
		}
	}
	return p.runJob(ctx, mongo.RestoreName, "restore", dump, into)
}

func (p *platform) needBackups(ctx context.Context) error {
	if !p.config.Mongo.Backups() {
		return fmt.Errorf("stack %s dumps no purchases: set mongo.backup.schedule and run make up. An external database is backed up where it runs", p.stack)
	}
	return p.needCluster(ctx)
}

// runJob runs a CronJob once, with these arguments or its own, waits for its end and shows its log.
func (p *platform) runJob(ctx context.Context, cronJob string, arguments ...string) error {
	name := cronJob + "-" + time.Now().UTC().Format("20060102-150405")
	declared, err := p.kube.run(ctx, "-n", plan.DataNamespace, "create", "job", name, "--from=cronjob/"+cronJob, "--dry-run=client", "-o", "json")
	if err != nil {
		return fmt.Errorf("making a Job of the CronJob %s (make up declares it): %w", cronJob, err)
	}
	if len(arguments) > 0 {
		if declared, err = withArguments(declared, arguments); err != nil {
			return err
		}
	}
	create := p.kube.command(ctx, "create", "-f", "-")
	create.Stdin = strings.NewReader(declared)
	if _, err := outputOf(create); err != nil {
		return err
	}
	p.step("Running the Job %s in %s", name, plan.DataNamespace)
	var outcome string
	ended := within(ctx, jobPatience, func(ctx context.Context) bool {
		text, err := p.kube.run(ctx, "-n", plan.DataNamespace, "get", "job", name, "-o", `jsonpath={range .status.conditions[?(@.status=="True")]}{.type}{"\n"}{end}`)
		outcome = text
		return err == nil && (strings.Contains(text, "Complete\n") || strings.Contains(text, "Failed\n"))
	})
	log, err := p.kube.run(ctx, "-n", plan.DataNamespace, "logs", "-l", "batch.kubernetes.io/job-name="+name, "--tail=-1")
	fmt.Fprint(p.out, log)
	switch {
	case !ended:
		return fmt.Errorf("nobody waits for the Job %s any more; it goes on: kubectl -n %s logs -f job/%s", name, plan.DataNamespace, name)
	case strings.Contains(outcome, "Failed\n"):
		return errors.Join(fmt.Errorf("the Job %s has failed; its log says why", name), err)
	}
	return nil
}

// withArguments gives the container of a Job, written as JSON, other arguments.
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

// backupJob is a CronJob of the dumps, as status shows it.
type backupJob struct {
	Name        string `json:"name"`
	Schedule    string `json:"schedule"`
	LastSuccess string `json:"lastSuccess"` // RFC 3339; empty where there was none
}

// backups returns when a dump and a drill succeeded last.
func (p *platform) backups(ctx context.Context) ([]backupJob, error) {
	jobs := []backupJob{}
	if !p.config.Mongo.Backups() {
		return jobs, nil
	}
	text, err := p.kube.run(ctx, "-n", plan.DataNamespace, "get", "cronjobs", "-o",
		`jsonpath={range .items[?(@.spec.suspend==false)]}{.metadata.name}{"\t"}{.spec.schedule}{"\t"}{.status.lastSuccessfulTime}{"\n"}{end}`)
	for line := range strings.Lines(text) {
		if cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(cells) == 3 {
			jobs = append(jobs, backupJob{Name: cells[0], Schedule: cells[1], LastSuccess: cells[2]})
		}
	}
	return jobs, err
}

func (p *platform) printBackups(jobs []backupJob) {
	if len(jobs) == 0 {
		return
	}
	p.step("Backups (schedules are in UTC)")
	rows := [][]any{{"NAME", "SCHEDULE", "LAST SUCCESS"}}
	for _, job := range jobs {
		last := "NEVER"
		if at, err := time.Parse(time.RFC3339, job.LastSuccess); err == nil {
			last = fmt.Sprintf("%s, %s ago", job.LastSuccess, time.Since(at).Round(time.Minute))
		}
		rows = append(rows, []any{job.Name, job.Schedule, last})
	}
	p.table(rows)
}
