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
		if err := p.ask(ctx, fmt.Sprintf("Insert into the database %s of stack %s what it lacks of %s?", into, p.stack, dump)); err != nil {
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
	run := job.Job{
		Namespace: plan.DataNamespace, CronJob: cronJob, Name: cronJob + "-" + time.Now().UTC().Format("20060102-150405"),
		Arguments: arguments, Patience: jobPatience,
	}
	p.step("Running the Job %s in %s", run.Name, run.Namespace)
	log, err := run.Run(ctx, p.kube.feed)
	fmt.Fprint(p.out, log)
	return err
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
	for _, j := range jobs {
		last := "NEVER"
		if at, err := time.Parse(time.RFC3339, j.LastSuccess); err == nil {
			last = fmt.Sprintf("%s, %s ago", j.LastSuccess, time.Since(at).Round(time.Minute))
		}
		rows = append(rows, []any{j.Name, j.Schedule, last})
	}
	p.table(rows)
}
