package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

// kafkaJob is a Job that declares topics, moves partitions or ends an upgrade of Kafka, as status shows it.
type kafkaJob struct {
	Name  string `json:"name"`
	State string `json:"state"` // running, complete or failed
	Said  string `json:"said"`  // the last line of its log, readable
}

// kafkaJobs returns the Jobs of Kafka, sorted by name.
func (p *platform) kafkaJobs(ctx context.Context) ([]kafkaJob, error) {
	jobs := []kafkaJob{}
	text, err := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "jobs", "-l", "app.kubernetes.io/name="+kafka.TopicsName, "-o",
		`jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.conditions[?(@.status=="True")].type}{"\n"}{end}`)
	for line := range strings.Lines(text) {
		name, conditions, _ := strings.Cut(strings.TrimSpace(line), "\t")
		job := kafkaJob{Name: name, State: "running"}
		switch {
		case strings.Contains(conditions, "Complete"):
			job.State = "complete"
		case strings.Contains(conditions, "Failed"):
			job.State = "failed"
		}
		// Its pod may be gone, or not have started yet.
		log, _ := p.kube.run(ctx, "-n", plan.AppNamespace, "logs", "job/"+name, "--tail=1")
		job.Said = readable(log)
		jobs = append(jobs, job)
	}
	return jobs, err
}

func (p *platform) printKafkaJobs(jobs []kafkaJob) {
	if p.config.Kafka.IsExternal() && len(jobs) == 0 {
		return
	}
	p.step("Kafka's topics, partitions and features")
	rows := [][]any{{"JOB", "STATE", "LAST LOG LINE"}}
	for _, job := range jobs {
		rows = append(rows, []any{job.Name, job.State, job.Said})
	}
	p.table(rows)
	if !p.config.Kafka.IsExternal() && !p.config.Kafka.Finalize {
		p.say("Features are not finalized: kafka.finalize is off.")
	}
}

// readable turns a structured log line into the message and its attributes.
func readable(line string) string {
	line = strings.TrimSpace(line)
	var said map[string]any
	if json.Unmarshal([]byte(line), &said) != nil {
		return line
	}
	text := fmt.Sprint(said["msg"])
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if !slices.Contains([]string{"msg", "time", "level", "service"}, key) {
			text += fmt.Sprintf(" %s=%v", key, said[key])
		}
	}
	return text
}

// followMoves shows the progress of partition moves until stop is called. The caller writes its own output to out.
func (p *platform) followMoves(ctx context.Context) (out io.Writer, stop func()) {
	if p.config.Kafka.IsExternal() {
		return p.out, func() {}
	}
	both := &lockedWriter{Writer: p.out}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { p.showMoves(ctx, both, 5*time.Second) })
	return both, func() {
		cancel()
		following.Wait()
	}
}

// showMoves prints the last log line of the Jobs that move partitions whenever it changes, until ctx is done. Moving may take
// hours, in which pulumi prints nothing.
func (p *platform) showMoves(ctx context.Context, out io.Writer, pause time.Duration) {
	last := map[string]string{}
	for ctx.Err() == nil {
		pods, _ := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "pods", "-l", "app.kubernetes.io/component=job,app.kubernetes.io/name="+kafka.TopicsName,
			"--field-selector=status.phase=Running", "-o", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`)
		for _, pod := range strings.Fields(pods) {
			log, _ := p.kube.run(ctx, "-n", plan.AppNamespace, "logs", pod, "--tail=1")
			if said := readable(log); said != "" && said != last[pod] {
				last[pod] = said
				fmt.Fprintf(out, "    %s: %s\n", pod, said)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	io.Writer
}

func (s *lockedWriter) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Writer.Write(line)
}
