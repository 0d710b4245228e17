package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"shopstream/infra/internal/job"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
)

// jobTimeout is longer than a backup Job may take, with all its attempts.
const jobTimeout = 5 * time.Hour

// backup dumps the purchases now, and waits for the end.
func (p *platform) backup(ctx context.Context) error {
	if err := p.needBackups(ctx); err != nil {
		return err
	}
	return p.runJob(ctx, mongo.BackupName)
}

// restore inserts the purchases of a dump that a database lacks. Without BACKUP it lists the dumps.
func (p *platform) restore(ctx context.Context) error {
	if err := p.needBackups(ctx); err != nil {
		return err
	}
	dump, into := p.getenv("BACKUP"), p.getenv("INTO")
	if dump == "" {
		if err := p.runJob(ctx, mongo.RestoreName, "list"); err != nil {
			return err
		}
		p.say("To restore one: make restore STACK=%s BACKUP=name; add INTO=database for a database other than %s", p.stack, p.config.Mongo.Database)
		return nil
	}
	if into == "" {
		into = p.config.Mongo.Database
	}
	if err := p.checkConsent(); err != nil {
		return err
	}
	if p.asks() {
		if err := p.ask(ctx, fmt.Sprintf("Insert the purchases of %s that the database %s of stack %s lacks?", dump, into, p.stack)); err != nil {
			return err
		}
	}
	return p.runJob(ctx, mongo.RestoreName, "restore", dump, into)
}

func (p *platform) needBackups(ctx context.Context) error {
	if !p.config.Mongo.Backups() {
		return fmt.Errorf("stack %s has no backups: set mongo.backup.schedule and run make up. An external database is backed up by its owner", p.stack)
	}
	return p.needCluster(ctx)
}

// runJob runs a CronJob once, with these arguments if there are any, waits for its end and prints its log.
func (p *platform) runJob(ctx context.Context, cronJob string, arguments ...string) error {
	run := job.Job{
		Namespace: plan.DataNamespace, CronJob: cronJob, Name: cronJob + "-" + time.Now().UTC().Format("20060102-150405"),
		Arguments: arguments, Timeout: jobTimeout,
	}
	p.step("Running the Job %s in %s", run.Name, run.Namespace)
	log, err := run.Run(ctx, p.kube.feed)
	fmt.Fprint(p.out, log)
	return err
}

// backupJob is a CronJob that dumps or tests dumps, as status shows it.
type backupJob struct {
	Name        string `json:"name"`
	Schedule    string `json:"schedule"`
	LastSuccess string `json:"lastSuccess"` // RFC 3339; empty if there was none
}

// backups returns when the last dump and the last drill succeeded.
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
	for _, j := range jobs {
		last := "NEVER"
		if at, err := time.Parse(time.RFC3339, j.LastSuccess); err == nil {
			last = fmt.Sprintf("%s, %s ago", j.LastSuccess, time.Since(at).Round(time.Minute))
		}
		rows = append(rows, []any{j.Name, j.Schedule, last})
	}
	p.table(rows)
}
